"""The state of one organization in an evaluation, and the changes that it needs. Pure."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from flexcredits_schemas.alerts import is_met

from alerter.domain.thresholds import (
    Latest,
    Period,
    UsageLevel,
    Verdict,
    evaluate,
    evaluate_projected,
    has_begun,
    period_state,
    wants_projection,
)


class Banner(NamedTuple):
    period: Period
    threshold: int
    episode: int
    fired_at: datetime


@dataclass
class OrganizationState:
    """The input of one organization's evaluation."""

    organization_id: int
    levels: list[UsageLevel] = field(default_factory=list)
    latest: dict[Period, dict[int, Latest]] = field(default_factory=lambda: defaultdict(dict))
    banner: Banner | None = None


class Decision:
    """The changes that an organization needs; false if there are none."""

    def __init__(self, state: OrganizationState, verdicts: dict[Period, Verdict], banner: Banner | None) -> None:
        self.levels = {level.period: level for level in state.levels}
        self.verdicts = verdicts
        self.banner = banner
        self._changes = any(verdicts.values()) or banner != state.banner

    def __bool__(self) -> bool:
        return self._changes


def decide(state: OrganizationState, now: datetime) -> Decision:
    """Compare an organization's levels with its firings. Pure."""
    verdicts: dict[Period, Verdict] = {}
    banners: list[Banner] = []
    for level in state.levels:
        if not has_begun(level, now):
            continue
        latest = state.latest.get(level.period, {})
        phase = period_state(level, now)
        if level.period.kind == "projected":
            verdict = evaluate_projected(level, latest, phase, now)
        else:
            verdict = evaluate(level.used, level.available, level.thresholds, latest, phase)
        verdicts[level.period] = verdict
        if phase == "current" and level.period.rule == "usage":  # budgets raise no banner
            raised = banner_of(level, latest, verdict, now)
            banners += [raised] if raised else []
    for period in state.latest.keys() - verdicts.keys():
        # no contract has the period any more. Budget firings of months before the settings stay unchanged
        if period.rule == "usage":
            open_ones = sorted(threshold for threshold, at in state.latest[period].items() if at.is_open)
            verdicts[period] = Verdict(resolve=[(threshold, "removed") for threshold in open_ones])
    # The newest one; use has precedence over its projection.
    return Decision(
        state, verdicts, max(banners, key=lambda at: (at.fired_at, at.period.kind == "used")) if banners else None
    )


def banner_of(level: UsageLevel, latest: dict[int, Latest], verdict: Verdict, now: datetime) -> Banner | None:
    """The highest threshold that is met after the verdict is applied. Of projected use, the highest that use has not met."""
    period, available = level.period, level.available
    resolved = {threshold for threshold, _ in verdict.resolve}
    if period.kind == "projected":
        resolved |= {threshold for threshold in latest if available and is_met(level.used, available, threshold)}
    met = {
        threshold: Banner(period, threshold, at.episode, at.fired_at)
        for threshold, at in latest.items()
        if at.is_open and threshold not in resolved
    } | {firing.threshold: Banner(period, firing.threshold, firing.episode, now) for firing in verdict.fire}
    return met[max(met)] if met else None


def unprojected(state: OrganizationState, now: datetime) -> list[UsageLevel]:
    """The levels of use whose periods must be projected."""
    projected = {level.period: level.thresholds for level in state.levels if level.period.kind == "projected"}
    return [
        level
        for level in state.levels
        if level.period.kind == "used"
        and wants_projection(
            level,
            state.latest.get(level.period, {}),
            projected.get(level.period._replace(kind="projected"), ()),
            now,
        )
    ]
