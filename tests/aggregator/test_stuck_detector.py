"""When a consumer counts as stuck, by a simulated clock."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from aggregator.consumer.stuck_detector import ConsumerState, Stalled, StuckDetector
from aiokafka import TopicPartition

STUCK_EXIT_S = 60.0
PARTITIONS = [TopicPartition("usage", number) for number in range(4)]


@dataclass
class Checks:
    """A detector with its clock, and the logs that it sees."""

    now: float = 1000.0
    ends: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(4), 0))
    positions: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(4), 0))
    state: ConsumerState = field(default_factory=ConsumerState)
    found: str = ""

    def __post_init__(self) -> None:
        self.detector = StuckDetector("usage", STUCK_EXIT_S, self.state, clock=lambda: self.now)

    def check(self, after_s: float = 1.0) -> None:
        self.now += after_s
        self.detector.check({at: self.ends[at.partition] for at in PARTITIONS}, self.positions)

    def seconds_until_stalled(self, act: Callable[[], None], after_s: float = 1.0) -> float:
        """Call `act` before every check. Raises AssertionError if the detector finds nothing in 1,000 checks."""
        began = self.now
        for _ in range(1000):
            act()
            try:
                self.check(after_s)
            except Stalled as error:
                self.found = str(error)
                return self.now - began
        raise AssertionError("not found")


@pytest.fixture
def checks() -> Checks:
    return Checks()


def test_a_partition_waits_its_turn_while_others_work_off_an_old_backlog(checks: Checks) -> None:
    """Seen on a busy machine: 250,000 records in each of four partitions, at 4,000 records a second."""
    checks.ends = dict.fromkeys(range(4), 250_000)
    for at in range(4):
        while checks.positions[at] < checks.ends[at]:
            checks.positions[at] += 4_000
            checks.check()
            assert checks.state.why_no_progress(30) is None
    assert checks.state.stuck_since is None


def test_any_fair_consumer_at_any_speed_is_not_stuck(checks: Checks) -> None:
    """One record in a minute from a random partition is slow, and not stuck."""
    chance = random.Random(1)
    checks.ends = {at: chance.randint(1, 200) for at in range(4)}
    while waiting := [at for at in range(4) if checks.positions[at] < checks.ends[at]]:
        for _ in range(59):
            checks.check()
        checks.positions[chance.choice(waiting)] += 1
        checks.check()


def test_nothing_moves_while_records_wait(checks: Checks) -> None:
    checks.ends[2] = 1
    assert checks.seconds_until_stalled(lambda: None) == pytest.approx(STUCK_EXIT_S + 2)
    assert checks.state.stuck_since is not None


@pytest.mark.parametrize("growth", [1, 5_000])
def test_a_partition_that_never_moves_cannot_hide_behind_busy_ones(checks: Checks, growth: int) -> None:
    """The others grow without end and are counted as they grow."""
    checks.ends = {0: 10, 1: 20_000, 2: 20_000, 3: 20_000}

    def act() -> None:
        for at in (1, 2, 3):
            checks.positions[at] = min(checks.ends[at], checks.positions[at] + 2_000 + growth)
            checks.ends[at] += growth
        checks.ends[0] += 1

    assert checks.seconds_until_stalled(act) < 20_000 / 2_000 + STUCK_EXIT_S + 5
    assert checks.found.startswith("usage/0 stands at 0 of")


def test_two_partitions_that_never_move_do_not_excuse_each_other(checks: Checks) -> None:
    checks.ends, checks.positions = dict.fromkeys(range(4), 10), {0: 0, 1: 0, 2: 10, 3: 10}

    def act() -> None:
        for at in (2, 3):
            checks.ends[at] += 100
            checks.positions[at] += 100

    assert checks.seconds_until_stalled(act) < STUCK_EXIT_S + 5


def test_a_growing_backlog_excuses_another_partition_only_for_its_old_records(checks: Checks) -> None:
    """Partition 1 always moves and falls further behind; partition 0 stands."""
    checks.ends = {0: 10, 1: 5_000, 2: 0, 3: 0}

    def act() -> None:
        checks.positions[1] += 100
        checks.ends[1] += 1_000

    assert checks.seconds_until_stalled(act) < 6_000 / 100 + STUCK_EXIT_S + 5
    assert checks.found.startswith("usage/0 stands")


def test_a_pause_of_the_process_itself_is_not_counted(checks: Checks) -> None:
    checks.ends[0] = 5
    checks.check()
    checks.check()
    checks.check(after_s=3600)
    assert checks.state.stuck_since is not None
    checks.positions[0] = 5
    checks.check()
    assert checks.state.stuck_since is None


def test_checks_that_are_always_late_still_find_it(checks: Checks) -> None:
    checks.ends[0] = 5
    assert checks.seconds_until_stalled(lambda: None, after_s=45) < 10 * 45


@pytest.mark.parametrize("forget", [StuckDetector.restart, StuckDetector.reset])
def test_a_failure_of_kafka_or_postgres_and_a_new_assignment_restart_the_timer(
    checks: Checks, forget: Callable[[StuckDetector], None]
) -> None:
    checks.ends[0] = 5
    for _ in range(50):
        checks.check()
    forget(checks.detector)
    for _ in range(50):
        checks.check()
    checks.detector.reset()
    assert checks.state.stuck_since is None
