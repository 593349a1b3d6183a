"""Long computations: other requests are answered meanwhile, and organizations take turns."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

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
