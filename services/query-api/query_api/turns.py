"""Long computations, between which the process answers other requests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import ParamSpec, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
GivenT = ParamSpec("GivenT")

AT_ONCE = 1_000
"""Items that are computed without a break, which takes some 5 ms."""


async def in_parts(items: Sequence[ItemT]) -> AsyncIterator[Sequence[ItemT]]:
    """The items in their order. Other requests run between two parts."""
    for at in range(0, len(items), AT_ONCE):
        if at:
            await asyncio.sleep(0)
        yield items[at : at + AT_ONCE]


async def compute(
    size: int, function: Callable[GivenT, ResultT], *args: GivenT.args, **kwargs: GivenT.kwargs
) -> ResultT:
    """Call the function, which handles `size` items; for many of them in a thread, so it must not change what others read."""
    if size <= AT_ONCE:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
