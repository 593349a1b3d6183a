"""One organization with a lot of work keeps nobody waiting."""

import asyncio

import asyncpg
from aggregator.__main__ import every
from aggregator.turns import Turns


async def test_organizations_take_turns_chunk_by_chunk() -> None:
    turns, chunks, done = Turns[None](), {1: 4, 2: 1, 3: 2}, list[int]()

    async def work(number: int) -> bool:
        done.append(number)
        chunks[number] -= 1
        return chunks[number] > 0

    assert await turns.take(chunks, work, for_s=60) == set()
    assert done == [1, 2, 3, 1, 3, 1, 1]


async def test_time_ends_a_round_and_the_next_one_begins_with_whoever_waits() -> None:
    turns, done = Turns[None](), list[int]()

    async def never_ends(number: int) -> bool:
        done.append(number)
        return True

    for _ in range(4):
        assert await turns.take([1, 2, 3], never_ends, for_s=-1) == {1, 2, 3}
    assert done == [1, 2, 3, 1]
    assert await turns.take([], never_ends, for_s=-1) == set()


async def test_a_loop_skips_once_what_takes_too_long() -> None:
    calls, has_gone_on = list[int](), asyncio.Event()

    async def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")
        has_gone_on.set()

    loop = asyncio.create_task(every(0, work))
    await asyncio.wait_for(has_gone_on.wait(), 5)
    loop.cancel()
