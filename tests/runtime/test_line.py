"""Places are given to keys in turn, so a key with many requests does not delay others."""

import asyncio
from collections.abc import Callable

import pytest
from runtime.postgres.line import Line, LineFull


async def hold(line: Line, key: str, came: list[str], until: asyncio.Event, wait_s: float = 5) -> None:
    async with line.place(key, wait_s=wait_s):
        came.append(key)
        await until.wait()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_key_has_three_quarters_at_most_and_the_others_come_at_once() -> None:
    line, came, until = Line(8), list[str](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(hold(line, "many", came, until))
        await turns()
        assert came == ["many"] * 6
        for key in ("a", "b"):
            group.create_task(hold(line, key, came, until))
        await turns()
        assert came[6:] == ["a", "b"]
        until.set()
    assert len(came) == 22


async def test_waiting_keys_take_turns_and_within_one_who_came_first_is_first() -> None:
    line, order, first = Line(1), list[str](), asyncio.Event()

    async def go(key: str, name: str) -> None:
        async with line.place(key, wait_s=5):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(hold(line, "x", [], first))
        await turns()
        for key in ("a", "b"):
            for number in range(3):
                group.create_task(go(key, f"{key}{number}"))
        await turns()
        first.set()
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2"]


async def test_who_waits_too_long_or_behind_too_many_is_refused_and_leaves_no_gap() -> None:
    line, came, until = Line(1, waiting_max=2), list[str](), asyncio.Event()
    holder = asyncio.create_task(hold(line, "a", came, until))
    await turns()
    with pytest.raises(LineFull, match=r"within 0\.01 s"):
        await hold(line, "a", came, until, wait_s=0.01)
    waiters = [asyncio.create_task(hold(line, "a", came, until)) for _ in range(2)]
    await turns()
    with pytest.raises(LineFull, match="2 wait already"):
        await hold(line, "a", came, until)
    waiters[0].cancel()
    until.set()
    await asyncio.gather(holder, *waiters, return_exceptions=True)
    assert came == ["a", "a"]
    await hold(line, "a", came, until)


@pytest.mark.parametrize("first", ["cancel", "free"])
async def test_a_place_given_to_who_is_cancelled_goes_to_the_next(first: str) -> None:
    line, came, until, over = Line(1), list[str](), asyncio.Event(), asyncio.Event()
    holder = asyncio.create_task(hold(line, "a", came, over))
    await turns()
    gone, next_one = (asyncio.create_task(hold(line, key, came, until)) for key in ("b", "c"))
    await turns()
    steps: list[Callable[[], object]] = [gone.cancel, over.set]
    for step in steps if first == "cancel" else reversed(steps):
        step()
    await turns()
    assert came == ["a", "c"]
    until.set()
    await asyncio.gather(holder, gone, next_one, return_exceptions=True)


async def test_what_would_wait_too_long_is_refused_at_once_with_the_time_to_wait() -> None:
    now = 0.0
    line, came, until = Line(4, clock=lambda: now), list[str](), asyncio.Event()
    for _ in range(100):  # a place is held for 2 s
        async with line.place("a", wait_s=5):
            now += 2
    holders = [asyncio.create_task(hold(line, "a", came, until)) for _ in range(3)]
    waiters = [asyncio.create_task(hold(line, "a", came, until)) for _ in range(7)]
    await turns()
    assert line.expect_wait_s("a") == pytest.approx(8 * 2 / 3, rel=0.01)  # three of the four places are for one key
    with pytest.raises(LineFull, match=r"about 5\.3 s") as refused:
        await hold(line, "a", came, until, wait_s=5)
    assert refused.value.expected_wait_s == pytest.approx(8 * 2 / 3, rel=0.01)
    assert line.expect_wait_s("b") == 0, "another key has the fourth place"
    until.set()
    await asyncio.gather(*holders, *waiters)
    assert line.expect_wait_s("a") == 0


async def test_before_a_place_was_ever_given_back_no_wait_is_expected() -> None:
    line, came, until = Line(1), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(hold(line, "a", came, until, wait_s=0.5)) for _ in range(9)]
    await turns()
    assert line.expect_wait_s("a") == 0
    until.set()
    await asyncio.gather(*tasks)


async def test_a_key_that_comes_last_expects_its_turn_and_not_the_queue_of_another() -> None:
    now = 0.0
    line, came, until = Line(2, clock=lambda: now), list[str](), asyncio.Event()
    for _ in range(100):
        async with line.place("a", wait_s=5):
            now += 2
    tasks = [asyncio.create_task(hold(line, key, came, until, wait_s=60)) for key in ("a", "b", *"aaa")]
    await turns()
    assert line.expect_wait_s("a") == pytest.approx(4 * 2, rel=0.01), "three wait, and b has the other place"
    assert line.expect_wait_s("c") == 0, "none of its requests has ended yet"
    until.set()
    await asyncio.gather(*tasks)


async def test_slow_requests_of_one_key_refuse_none_of_another() -> None:
    """Each key has its own average, and places that the other key holds for long are not waited for."""
    now = 0.0
    line, until = Line(8, clock=lambda: now), asyncio.Event()
    for _ in range(100):  # "slow" holds a place for 14 s
        async with line.place("slow", wait_s=15):
            now += 14
    slow = [asyncio.create_task(hold(line, "slow", [], until, wait_s=1000)) for _ in range(40)]
    await turns()

    async def quick() -> None:
        nonlocal now
        async with line.place("quick", wait_s=1):
            await asyncio.sleep(0)
            now += 0.01

    for _ in range(2):
        await asyncio.gather(*(quick() for _ in range(50)))
    with pytest.raises(LineFull, match="the wait would be about"):
        await hold(line, "slow", [], until, wait_s=15)
    until.set()
    await asyncio.gather(*slow)


async def test_a_key_waits_for_a_place_that_comes_free_soon_beside_those_that_another_holds_for_long() -> None:
    now = 0.0
    line, until, soon = Line(3, clock=lambda: now), asyncio.Event(), asyncio.Event()
    for _ in range(100):
        async with line.place("slow", wait_s=15):
            now += 200
    slow = [asyncio.create_task(hold(line, "slow", [], until)) for _ in range(2)]
    other = asyncio.create_task(hold(line, "other", [], soon))
    await turns()
    came = list[str]()
    waiting = asyncio.create_task(hold(line, "third", came, soon, wait_s=10))
    await turns()
    soon.set()
    await asyncio.gather(other, waiting)
    assert came == ["third"]
    until.set()
    await asyncio.gather(*slow)


async def test_averages_are_known_of_the_keys_that_left_last() -> None:
    line = Line(1)
    for number in range(1500):
        async with line.place(f"{number}", wait_s=1):
            pass
    assert len(line._held_s) == 1000
