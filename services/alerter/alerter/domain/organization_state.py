"""The state of one organization in an evaluation, and the changes that it needs. Pure."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from flexcredits_schemas.alerts import Rule, is_met

from alerter.domain.thresholds import (
    Latest,
    Period,
    UsageLevel,
    Verdict,
    evaluate,
    evaluate_projected,
    has_begun,
    has_outdated_projection,
    needs_projection,
    period_state,
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
    """The changes that an organization needs; false if there are none. `is_partial`: it needs more than these."""

    def __init__(
        self, state: OrganizationState, verdicts: dict[Period, Verdict], banner: Banner | None, *, is_partial: bool = False
    ) -> None:  # fmt: skip
        self.levels = {level.period: level for level in state.levels}
        self.verdicts = verdicts
        self.banner = banner
        self.is_partial = is_partial
        self._changes = any(verdicts.values()) or banner != state.banner

    def __bool__(self) -> bool:
        return self._changes

    @property
    def size(self) -> int:
        """Firings and resolutions."""
        return sum(len(verdict.fire) + len(verdict.resolve) for verdict in self.verdicts.values())

    @property
    def mailed(self) -> list[Rule]:
        """The rule of each firing that sends mail."""
        return [
            period.rule
            for period, verdict in self.verdicts.items()
            for firing in verdict.fire
            if firing.notification == "sent"
        ]


class Portion:
    """Takes the changes of whole periods until there are `most`, and at least those of one period. A smaller portion is the
    beginning of a larger one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self.is_partial = False

    def take(self, verdict: Verdict) -> Verdict:
        """The verdict, or one without changes if there are enough."""
        number = len(verdict.fire) + len(verdict.resolve)
        if number and (self.is_partial or (self._taken and self._taken + number > self._most)):
            self.is_partial = True
            return Verdict()
        self._taken += number
        return verdict


def decide(state: OrganizationState, now: datetime, most: int = sys.maxsize) -> Decision:
    """Compare an organization's levels with its firings. Pure.

    `most`: about as many firings and resolutions, of whole periods; the banner is then that of these.
    """
    verdicts: dict[Period, Verdict] = {}
    banners: list[Banner] = []
    portion = Portion(most)
    for level in state.levels:
        if not has_begun(level, now):
            continue
        latest = state.latest.get(level.period, {})
        phase = period_state(level, now)
        if level.period.kind == "projected":
            verdict = evaluate_projected(level, latest, phase, now)
        else:
            verdict = evaluate(level.used, level.available, level.thresholds, latest, phase)
        verdicts[level.period] = verdict = portion.take(verdict)
        if phase == "current" and level.period.rule == "usage":  # budgets raise no banner
            raised = banner_of(level, latest, verdict, now)
            banners += [raised] if raised else []
    for period in state.latest.keys() - verdicts.keys():
        # no contract has the period any more. Budget firings of months before the settings stay unchanged
        if period.rule == "usage":
            open_ones = sorted(threshold for threshold, at in state.latest[period].items() if at.is_open)
            verdicts[period] = portion.take(Verdict(resolve=[(threshold, "removed") for threshold in open_ones]))
    # The newest one; use has precedence over its projection.
    newest = max(banners, key=lambda at: (at.fired_at, at.period.kind == "used")) if banners else None
    return Decision(state, verdicts, newest, is_partial=portion.is_partial)


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
    """The levels of use whose periods must be projected. Of several periods of a rule that need a projection only the last has
    it, because one projection of each rule is stored."""
    projected = {level.period: level.thresholds for level in state.levels if level.period.kind == "projected"}
    last: dict[Rule, tuple[UsageLevel, Sequence[int]]] = {}
    for level in state.levels:
        if level.period.kind == "used":
            thresholds = projected.get(level.period._replace(kind="projected"), ())
            if needs_projection(level, state.latest.get(level.period, {}), thresholds, now):
                last[level.period.rule] = level, thresholds
    return [level for level, thresholds in last.values() if has_outdated_projection(level, thresholds, now)]
