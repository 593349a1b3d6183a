"""Organizations take turns in long computations, and one's never take all threads. Requests of one come one by one."""

import asyncio
import threading

import pytest
from query_api.turns import AT_ONCE, THREADS, OneByOne, compute, compute_long


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


async def test_requests_of_an_organization_come_one_by_one_in_their_order() -> None:
    """Also if one of them gives up, and whatever another organization does."""
    one_by_one, ended, release = OneByOne(), list[int](), asyncio.Event()

    async def run(number: int) -> None:
        async with one_by_one.turn("org_acme"):
            await release.wait()
            ended.append(number)

    tasks = [asyncio.create_task(run(number)) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    async with asyncio.timeout(5), one_by_one.turn("org_other"):
        assert ended == []
    release.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert ended == [0, 1, 3, 4]
