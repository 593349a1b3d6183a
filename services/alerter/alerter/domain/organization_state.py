"""The state of one organization in an evaluation, and the changes that it needs. Pure."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from alerter.domain.thresholds import Latest, Period, UsageLevel, Verdict, evaluate, has_begun, period_state


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
    banner = None
    for level in state.levels:
        if not has_begun(level, now):
            continue
        latest = state.latest.get(level.period, {})
        phase = period_state(level, now)
        verdicts[level.period] = verdict = evaluate(level.used, level.available, level.thresholds, latest, phase)
        if phase == "current" and level.period.rule == "usage":  # budgets raise no banner
            banner = banner_of(level.period, latest, verdict, now)
    for period in state.latest.keys() - verdicts.keys():
        # no contract has the period any more. Budget firings of months before the settings stay unchanged
        if period.rule == "usage":
            open_ones = sorted(threshold for threshold, at in state.latest[period].items() if at.is_open)
            verdicts[period] = Verdict(resolve=[(threshold, "removed") for threshold in open_ones])
    return Decision(state, verdicts, banner)


def banner_of(period: Period, latest: dict[int, Latest], verdict: Verdict, now: datetime) -> Banner | None:
    """The highest threshold that is met after the verdict is applied."""
    resolved = {threshold for threshold, _ in verdict.resolve}
    met = {
        threshold: Banner(period, threshold, at.episode, at.fired_at)
        for threshold, at in latest.items()
        if at.is_open and threshold not in resolved
    } | {firing.threshold: Banner(period, firing.threshold, firing.episode, now) for firing in verdict.fire}
    return met[max(met)] if met else None
