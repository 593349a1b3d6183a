"""Which thresholds fire, resolve and mail, from levels alone."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from alerter.domain.organization_state import Banner, OrganizationState, decide
from alerter.domain.thresholds import (
    Latest,
    NewFiring,
    Period,
    PeriodState,
    UsageLevel,
    Verdict,
    crossed,
    evaluate,
    has_begun,
    period_state,
)
from hypothesis import given
from hypothesis import strategies as st

DEFAULTS = (75, 90, 100)
AT = datetime(2026, 11, 1, tzinfo=UTC)
History = dict[int, list[bool]]
"""Each threshold's episodes in order; true: open."""


def latest_of(history: History) -> dict[int, Latest]:
    return {threshold: Latest(len(episodes), episodes[-1], AT) for threshold, episodes in history.items()}


def carry_out(history: History, verdict: Verdict) -> None:
    for threshold, _ in verdict.resolve:
        assert history[threshold][-1]
        history[threshold][-1] = False
    for threshold, episode, _ in verdict.fire:
        episodes = history.setdefault(threshold, [])
        assert not episodes or not episodes[-1], "a second firing of an open threshold"
        episodes.append(True)
        assert episode == len(episodes)


def step(
    history: History, used: int, percents: Sequence[int] = DEFAULTS, available: int | None = 100, state: PeriodState = "current"
) -> Verdict:  # fmt: skip
    verdict = evaluate(used, available, percents, latest_of(history), state)
    carry_out(history, verdict)
    return verdict


@pytest.mark.parametrize(
    ("used", "available", "met"),
    [
        (0, 100, []),
        (74_999_999, 100_000_000, []),
        (75_000_000, 100_000_000, [75]),
        (99_999_999, 100_000_000, [75, 90]),
        (100_000_000, 100_000_000, [75, 90, 100]),
        (10**18, 100_000_000, [75, 90, 100]),
        (5, None, []),
        (5, 0, []),
        (-5, 100, []),
    ],
)
def test_a_threshold_is_met_at_its_exact_level(used: int, available: int | None, met: list[int]) -> None:
    assert crossed(used, available, (100, 75, 90, 90)) == met


def test_crossing_two_at_once_mails_the_higher_and_records_both() -> None:
    assert step({}, 92).fire == [NewFiring(75, 1, "bundled"), NewFiring(90, 1, "sent")]


def test_crossing_one_after_the_other_mails_each() -> None:
    history: History = {}
    assert [step(history, used).fire for used in (10, 75, 80, 90, 90, 100, 170)] == [
        [], [NewFiring(75, 1, "sent")], [], [NewFiring(90, 1, "sent")], [], [NewFiring(100, 1, "sent")], [],
    ]  # fmt: skip


def test_falling_under_a_threshold_resolves_it_and_rising_again_is_a_new_episode() -> None:
    history: History = {}
    step(history, 92)
    assert step(history, 89).resolve == [(90, "level")]
    assert step(history, 91).fire == [NewFiring(90, 2, "sent")]
    assert step(history, 92, available=200).resolve == [(75, "level"), (90, "level")]
    assert step(history, 155, available=200).fire == [NewFiring(75, 2, "sent")]


def test_a_threshold_added_under_one_that_was_announced_is_recorded_silently() -> None:
    history: History = {}
    step(history, 92)
    assert step(history, 92, (50, 75, 90, 100)).fire == [NewFiring(50, 1, "suppressed")]
    step(history, 60, (50, 75, 90, 100))
    assert step(history, 60, (50, 55, 75, 90, 100)).fire == [NewFiring(55, 1, "suppressed")]


def test_a_threshold_added_above_what_was_announced_mails_at_once() -> None:
    history: History = {}
    step(history, 96)
    assert step(history, 96, (75, 90, 95, 100)).fire == [NewFiring(95, 1, "sent")]


def test_a_threshold_removed_and_added_again_is_a_new_episode() -> None:
    history: History = {}
    step(history, 80)
    assert step(history, 80, (90, 100)).resolve == [(75, "removed")]
    assert step(history, 80).fire == [NewFiring(75, 2, "sent")]


def test_when_several_rise_again_one_of_them_mails_even_if_another_was_added_later() -> None:
    history: History = {}
    step(history, 100)
    step(history, 10)
    fired = step(history, 85, (75, 80, 90, 100)).fire
    assert fired == [NewFiring(75, 2, "sent"), NewFiring(80, 1, "suppressed")]


def test_a_contract_that_goes_away_resolves_everything() -> None:
    history: History = {}
    step(history, 100)
    assert step(history, 100, available=None).resolve == [(75, "level"), (90, "level"), (100, "level")]


def test_a_period_that_ended_long_ago_is_history_only() -> None:
    assert [notification for _, _, notification in step({}, 120, state="long_ended").fire] == ["backfilled"] * 3
    assert step({}, 80, state="ended").fire == [NewFiring(75, 1, "sent")]


percents = st.lists(st.integers(1, 200), max_size=5, unique=True)


@given(st.lists(st.tuples(st.integers(-10, 300), st.one_of(st.none(), st.integers(0, 150)), percents), max_size=12))
def test_what_is_open_is_what_is_met_whatever_happened_before(steps: list[tuple[int, int | None, list[int]]]) -> None:
    history: History = {}
    for used, available, chosen in steps:
        before = {threshold for threshold, episodes in history.items() if episodes[-1]}
        ever = set(history)
        verdict = step(history, used, chosen, available)
        met = {p for p in chosen if available and used * 100 >= available * p}
        assert {threshold for threshold, episodes in history.items() if episodes[-1]} == met
        assert not evaluate(used, available, chosen, latest_of(history), "current"), (
            "a second evaluation changes something"
        )
        notifications = {threshold: word for threshold, _, word in verdict.fire}
        mailed = [threshold for threshold, word in notifications.items() if word == "sent"]
        # A mail is sent only if no higher threshold is open and the threshold was not added late.
        news = [
            t for t in met - before
            if not any(other > t for other in before & met) and (t in ever or not any(other > t for other in ever))
        ]  # fmt: skip
        assert mailed == ([max(news)] if news else [])


@given(st.lists(st.integers(0, 200), min_size=1, max_size=30))
def test_a_rising_level_mails_each_threshold_at_most_once_however_it_steps(levels: list[int]) -> None:
    history: History = {}
    fired = [firing for used in sorted(levels) for firing in step(history, used).fire]
    assert sorted(threshold for threshold, _, _ in fired) == [p for p in DEFAULTS if max(levels) >= p]
    assert {episode for _, episode, _ in fired} <= {1}


def level(time_zone: str, starts_on: str, ends_on: str, used: int = 0, *, period: str = "p1") -> UsageLevel:
    dates = date.fromisoformat(starts_on), date.fromisoformat(ends_on)
    return UsageLevel(1, time_zone, DEFAULTS, Period("usage", "c1", period), *dates, 100, used)


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("UTC", "2026-11-01T00:00Z"),
        ("Asia/Kathmandu", "2026-10-31T18:15Z"),
        ("America/St_Johns", "2026-11-01T02:30Z"),
        ("America/New_York", "2026-11-01T04:00Z"),
    ],
)
def test_a_period_runs_from_midnight_to_midnight_of_the_organizations_zone(zone: str, midnight: str) -> None:
    at, moment = datetime.fromisoformat(midnight), timedelta(microseconds=1)
    ending, beginning = level(zone, "2026-10-01", "2026-11-01"), level(zone, "2026-11-01", "2026-12-01")
    assert [period_state(ending, when) for when in (at - moment, at)] == ["current", "ended"]
    assert [has_begun(beginning, when) for when in (at - moment, at)] == [False, True]
    late = at + timedelta(hours=72)
    assert [period_state(ending, when) for when in (late - moment, late)] == ["ended", "long_ended"]


def test_the_banner_is_the_highest_threshold_met_in_the_current_period_only() -> None:
    now = datetime(2026, 11, 2, tzinfo=UTC)
    ended, current = (
        level("UTC", "2026-10-01", "2026-11-01", 120),
        level("UTC", "2026-11-01", "2026-12-01", 92, period="p2"),
    )
    state = OrganizationState(1, [ended, current])
    assert decide(state, now).banner == Banner(current.period, 90, 1, now)
    quiet = OrganizationState(1, [ended, level("UTC", "2026-11-01", "2026-12-01", 10, period="p2")])
    assert decide(quiet, now).banner is None


def test_a_smaller_portion_of_changes_is_the_beginning_of_a_larger_one() -> None:
    """A portion with too many mails is decided again, smaller, for the recipients that were read for the first one."""
    now = datetime(2026, 11, 2, tzinfo=UTC)
    levels = [level("UTC", "2026-11-01", "2026-12-01", used, period=f"p{used}") for used in (110, 120, 80, 95)]

    def changed(most: int) -> list[str]:
        decision = decide(OrganizationState(1, levels), now, most)
        assert decision.is_partial is (most < 9)
        return [period.period_id for period, verdict in decision.verdicts.items() if verdict]

    every = ["p110", "p120", "p80", "p95"]  # three changes, three, one and two
    assert [len(changed(most)) for most in range(1, 10)] == [1, 1, 1, 1, 1, 2, 3, 3, 4]
    assert all(changed(most) == every[: len(changed(most))] for most in range(1, 10))


def test_a_banner_stays_as_it_was_raised_and_goes_with_its_period() -> None:
    now = datetime(2026, 11, 2, tzinfo=UTC)
    current = level("UTC", "2026-11-01", "2026-12-01", 80)
    banner = Banner(current.period, 75, 1, AT)
    state = OrganizationState(1, [current], {current.period: {75: Latest(1, True, AT)}}, banner)
    assert not decide(state, now)
    later = decide(state, now + timedelta(days=30))
    assert later
    assert later.banner is None
    gone = decide(OrganizationState(1, [], {current.period: {75: Latest(1, True, AT)}}, banner), now)
    assert gone.verdicts[current.period].resolve == [(75, "removed")]
    assert gone.banner is None
