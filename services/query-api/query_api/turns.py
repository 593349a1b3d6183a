"""Turns: of organizations in long computations, while other requests are answered, and of the requests of an organization."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from runtime.postgres.line import Line

from query_api.db.session import WAIT_S

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
GivenT = ParamSpec("GivenT")

AT_ONCE = 1_000
"""Items that are computed without a break, which takes some 5 ms."""
IN_ARRAYS = 25
"""So many numbers in arrays, or people of united sets, are computed in the time of an item."""
THREADS = 2
"""Of which an organization has one: with more, they would only wait for each other and for the interpreter."""

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="compute")
_line = Line(THREADS)


async def in_parts(items: Sequence[ItemT]) -> AsyncIterator[Sequence[ItemT]]:
    """The items in their order. Other requests run between two parts."""
    for at in range(0, len(items), AT_ONCE):
        if at:
            await asyncio.sleep(0)
        yield items[at : at + AT_ONCE]


async def compute(
    organization_id: int | None,
    size: int,
    function: Callable[GivenT, ResultT],
    *args: GivenT.args,
    **kwargs: GivenT.kwargs,
) -> ResultT:
    """Call the function, which handles `size` items; for many of them in a thread, so it must not change what others read.

    Raises LineFull, which a session turns into Busy.
    """
    if size <= AT_ONCE:
        return function(*args, **kwargs)
    return await compute_long(organization_id, function, *args, **kwargs)


async def compute_long(
    organization_id: int | None, function: Callable[GivenT, ResultT], *args: GivenT.args, **kwargs: GivenT.kwargs
) -> ResultT:
    """Like `compute`, always in a thread."""
    async with _line.place(f"{organization_id}", wait_s=WAIT_S):
        running = asyncio.get_running_loop().run_in_executor(_threads, partial(function, *args, **kwargs))
        try:
            return await asyncio.shield(running)
        finally:
            await asyncio.wait([running])  # a cancelled request keeps its place until the thread is free


class OneByOne:
    """Lets one request of an organization run at a time, in the order in which they came.

    For what Postgres does one by one anyway: a request that waits for a lock there holds a connection, which other organizations
    then lack.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, organization: str) -> AsyncIterator[None]:
        lock = self._locks.get(organization)
        if lock is None:
            lock = self._locks[organization] = asyncio.Lock()
        async with lock:
            yield
