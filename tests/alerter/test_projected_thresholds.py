"""Which projected thresholds fire and are retracted, and when a period is projected."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from alerter.domain.organization_state import OrganizationState, decide
from alerter.domain.projected import MadeFor, Mark, PassedOn, StoredProjection
from alerter.domain.thresholds import (
    Latest,
    Period,
    UsageLevel,
    Verdict,
    evaluate_projected,
    has_outdated_projection,
    needs_projection,
    period_state,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY, YESTERDAY = NOW.date(), NOW.date() - timedelta(days=1)
ON = PassedOn(date(2026, 12, 3), date(2026, 12, 9), date(2026, 12, 19))
USED = Period("usage", "c1", "p1")
PROJECTED = USED._replace(kind="projected")
MADE_FOR = MadeFor(date(2026, 7, 1), date(2027, 1, 1), 100)


def wants_projection(at: UsageLevel, latest: Mapping[int, Latest], projected: Sequence[int]) -> bool:
    return needs_projection(at, latest, projected, NOW) and has_outdated_projection(at, projected, NOW)


def stored(marks: Mapping[int, int], **changed: Any) -> StoredProjection:
    """`marks` has the permille of each threshold."""
    on = {threshold: ON if permille > 500 else ON._replace(p50=None) for threshold, permille in marks.items()}
    found = [Mark(threshold, permille, on[threshold]) for threshold, permille in marks.items()]
    projection = StoredProjection(TODAY, MADE_FOR, [*marks], found, None, None, NOW)
    return projection._replace(**changed)


def level(projection: StoredProjection | None, used: int = 60, **changed: Any) -> UsageLevel:
    of = UsageLevel(
        1, "UTC", [100], PROJECTED, date(2026, 7, 1), date(2027, 1, 1), available=100, used=used, projection=projection
    )
    return of._replace(**changed)


def verdict(at: UsageLevel, latest: Mapping[int, Latest] | None = None, now: datetime = NOW) -> Verdict:
    return evaluate_projected(at, latest or {}, period_state(at, now), now)


def fired(at: Verdict) -> list[tuple[int, int, str]]:
    return [(firing.threshold, firing.episode, firing.notification) for firing in at.fire]


def opened(days_ago: int = 3, *, mailed: bool = True, is_open: bool = True) -> Latest:
    at = NOW - timedelta(days=days_ago)
    return Latest(1, is_open, at, at if mailed else None)


@pytest.mark.parametrize(("permille", "fires"), [(0, False), (500, False), (501, True), (1000, True)])
def test_it_fires_when_passing_is_more_likely_than_not(permille: int, fires: bool) -> None:
    done = verdict(level(stored({100: permille})))
    assert fired(done) == ([(100, 1, "sent")] if fires else [])
    assert done.passed_on == ({100: ON} if fires else {})
    assert done.resolve == []


@pytest.mark.parametrize(
    ("permille", "resolved"), [(500, []), (333, []), (332, [(100, "level")]), (0, [(100, "level")])]
)
def test_it_is_retracted_only_when_lasting_is_twice_as_likely(permille: int, resolved: list[tuple[int, str]]) -> None:
    done = verdict(level(stored({100: permille})), {100: opened()})
    assert (done.fire, done.resolve) == ([], resolved)


@pytest.mark.parametrize(
    "projection",
    [
        None,
        stored({}, thresholds=[100], refusal="too_few_days", detail="3 days"),
        stored({100: 0}, day=YESTERDAY),
        stored({100: 1000}, day=YESTERDAY),
        stored({100: 0}, made_for=MADE_FOR._replace(available=90)),
        stored({100: 1000}, made_for=MADE_FOR._replace(available=110)),
        stored({100: 0}, made_for=MADE_FOR._replace(ends_on=date(2026, 12, 15))),
        stored({100: 1000}, made_for=MADE_FOR._replace(ends_on=date(2027, 3, 1))),
        stored({100: 1000}, made_for=MADE_FOR._replace(starts_on=date(2026, 8, 1))),
        stored({90: 1000}),
    ],
)
def test_a_refused_or_outdated_projection_fires_nothing_and_retracts_nothing(
    projection: StoredProjection | None,
) -> None:
    assert not verdict(level(projection))
    assert not verdict(level(projection), {100: opened()})


def test_a_removed_threshold_is_removed_without_a_projection() -> None:
    assert verdict(level(None, thresholds=[]), {100: opened()}).resolve == [(100, "removed")]
    assert verdict(level(None, available=None), {100: opened()}).resolve == [(100, "level")]


def test_what_use_has_met_is_not_projected_and_what_came_true_stays() -> None:
    assert not verdict(level(stored({100: 1000}), used=100))
    assert not verdict(level(stored({100: 1000}), used=100), {100: opened()})


def test_the_end_of_the_period_leaves_firings_as_they_are() -> None:
    after = datetime(2027, 1, 1, 1, tzinfo=UTC)
    assert not verdict(level(stored({100: 0}, day=after.date())), {100: opened()}, after)
    assert not verdict(level(stored({100: 1000}, day=after.date())), {}, after)


def test_of_several_thresholds_the_highest_sends_mail() -> None:
    done = verdict(level(stored({80: 900, 90: 800, 100: 600}), thresholds=[80, 90, 100]))
    assert fired(done) == [(80, 1, "bundled"), (90, 1, "bundled"), (100, 1, "sent")]


def test_a_day_has_one_mail_also_if_the_projection_turns_and_turns_back() -> None:
    at = level(stored({90: 900, 100: 600}), thresholds=[90, 100])
    today, before = opened(0, is_open=False), opened(1, is_open=False)
    assert fired(verdict(at, {100: today})) == [(90, 1, "suppressed"), (100, 2, "suppressed")]
    assert fired(verdict(at, {100: before, 90: before})) == [(90, 2, "bundled"), (100, 2, "sent")]
    assert fired(verdict(at, {100: today._replace(mailed_at=before.fired_at), 90: before})) == [
        (90, 2, "bundled"), (100, 2, "sent"),
    ]  # fmt: skip


def test_the_day_of_a_mail_is_that_of_the_organizations_zone() -> None:
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # the 23rd in Berlin
    at = level(stored({100: 900}, day=date(2026, 11, 23)), time_zone="Europe/Berlin")
    for hours, notification in ((0, "suppressed"), (0.4, "suppressed"), (0.6, "sent")):
        mailed = late - timedelta(hours=hours)
        assert fired(verdict(at, {100: Latest(1, False, mailed, mailed)}, late)) == [(100, 2, notification)]


def banner(used: int, latest: dict[Period, dict[int, Latest]], permille: int = 900) -> tuple[str, int] | None:
    projection = stored({100: permille})
    levels = [level(projection, used, period=USED, thresholds=[50, 75]), level(projection, used)]
    raised = decide(OrganizationState(1, levels, latest), NOW).banner
    return (raised.period.kind, raised.threshold) if raised else None


def test_the_banner_is_the_newest_of_use_and_projection() -> None:
    assert banner(40, {}) == ("projected", 100)
    assert banner(40, {}, permille=100) is None
    assert banner(60, {}) == ("used", 50), "use has precedence at the same instant"
    used, projected = {50: opened(1)}, {100: opened(2)}
    assert banner(60, {USED: used, PROJECTED: projected}) == ("used", 50)
    assert banner(60, {USED: {50: opened(5)}, PROJECTED: projected}) == ("projected", 100)
    assert banner(60, {USED: {50: opened(5)}, PROJECTED: projected}, permille=0) == ("used", 50)


def test_no_banner_projects_what_use_has_met() -> None:
    latest = {USED: {50: opened(9), 75: opened(9)}, PROJECTED: {100: opened(2)}}
    assert banner(100, latest) == ("used", 75)


def test_a_period_is_projected_once_a_day_or_when_it_must() -> None:
    def wants(projection: StoredProjection | None, projected: tuple[int, ...] = (90,), used: int = 60, **changed: Any) -> bool:  # fmt: skip
        return wants_projection(level(projection, used, period=USED, **changed), {}, projected)

    fresh = stored({90: 1, 100: 0})
    assert not wants(fresh)
    assert wants(None)
    assert wants(fresh._replace(day=YESTERDAY))
    for amended in ({"available": 99}, {"starts_on": date(2026, 8, 1)}, {"ends_on": date(2026, 12, 15)}):
        assert wants(fresh._replace(made_for=MADE_FOR._replace(**amended)))
    assert wants(fresh, projected=(80, 90))
    assert not wants(None, available=None)
    assert not wants(None, available=0)
    assert not wants(None, used=100), "every threshold is met"
    assert wants(None, projected=(120,), used=100)
    assert not wants(None, starts_on=date(2026, 11, 23))
    assert not wants(None, ends_on=TODAY)


@pytest.mark.parametrize(
    ("refusal", "minutes", "again"),
    [
        ("days_missing", 14, False),
        ("days_missing", 15, True),
        ("usage_not_counted", 15, True),
        ("too_few_days", 900, False),
    ],
)
def test_what_may_pass_is_tried_again_in_a_quarter_of_an_hour(refusal: str, minutes: int, again: bool) -> None:
    refused = stored({}, thresholds=[100], refusal=refusal, detail="why", projected_at=NOW - timedelta(minutes=minutes))
    assert wants_projection(level(refused, period=USED), {}, (100,)) is again


def test_without_projected_thresholds_only_a_period_near_a_threshold_is_projected() -> None:
    def wants(used: int, latest: Mapping[int, Latest] | None = None, thresholds: tuple[int, ...] = (75, 90)) -> bool:
        return wants_projection(level(None, used, period=USED, thresholds=thresholds), latest or {}, ())

    assert [used for used in (0, 64, 65, 74) if wants(used)] == [65, 74]
    assert [used for used in (75, 79, 80, 89) if wants(used, {75: opened()})] == [80, 89]
    assert not wants(95, {75: opened(), 90: opened()})
    assert not wants(95, thresholds=())
