"""An organization with much work does not delay others."""

from aggregator.backlog.turns import Turns


async def test_organizations_take_turns_chunk_by_chunk() -> None:
    turns, chunks, done = Turns[None](), {1: 4, 2: 1, 3: 2}, list[int]()

    async def work(number: int) -> bool:
        done.append(number)
        chunks[number] -= 1
        return chunks[number] > 0

    assert await turns.take(chunks, work, for_s=60) == set()
    assert done == [1, 2, 3, 1, 3, 1, 1]


async def test_time_ends_a_round_and_the_next_one_begins_with_waiting_organizations() -> None:
    turns, done = Turns[None](), list[int]()

    async def never_ends(number: int) -> bool:
        done.append(number)
        return True

    for _ in range(4):
        assert await turns.take([1, 2, 3], never_ends, for_s=-1) == {1, 2, 3}
    assert done == [1, 2, 3, 1]
    assert await turns.take([], never_ends, for_s=-1) == set()
