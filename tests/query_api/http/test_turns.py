"""Organizations take turns in long computations, and one's never take all threads."""

import asyncio
import threading

import pytest
from query_api.turns import AT_ONCE, THREADS, compute, compute_long


async def test_one_organization_with_many_computations_leaves_a_thread_to_the_others() -> None:
    release = threading.Event()
    held = [asyncio.create_task(compute_long(1, release.wait, 20)) for _ in range(10)]
    await asyncio.sleep(0.05)
    assert await asyncio.wait_for(compute_long(2, lambda: "answered"), 5) == "answered"
    release.set()
    assert await asyncio.gather(*held) == [True] * 10


async def test_a_cancelled_request_keeps_its_place_until_the_thread_is_free() -> None:
    release, began = threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        release.wait(20)

    for _ in range(THREADS):  # clients that give up and ask again
        began.clear()
        asked = asyncio.create_task(compute_long(1, hold))
        await asyncio.sleep(0.05)
        asked.cancel()
    assert await asyncio.wait_for(compute_long(2, lambda: "answered"), 5) == "answered"
    release.set()


async def test_few_items_are_computed_at_once_and_errors_arrive() -> None:
    assert await compute(1, AT_ONCE, threading.get_ident) == threading.get_ident()
    assert await compute(1, AT_ONCE + 1, threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await compute(1, AT_ONCE + 1, lambda: 1 // 0)
