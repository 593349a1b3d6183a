"""One organization as an evaluation sees it, and what has to change for it. Pure."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from alerter.domain.thresholds import Latest, Level, Period, Verdict, has_begun, judge, standing_of


class Banner(NamedTuple):
    period: Period
    threshold: int
    episode: int
    fired_at: datetime


@dataclass
class Account:
    """What an evaluation of one organization looks at."""

    organization_id: int
    levels: list[Level] = field(default_factory=list)
    latest: dict[Period, dict[int, Latest]] = field(default_factory=lambda: defaultdict(dict))
    banner: Banner | None = None


class Decision:
    """What has to change for an organization; false when nothing has."""

    def __init__(self, account: Account, verdicts: dict[Period, Verdict], banner: Banner | None) -> None:
        self.levels = {level.period: level for level in account.levels}
        self.verdicts = verdicts
        self.banner = banner
        self._changes = any(verdicts.values()) or banner != account.banner

    def __bool__(self) -> bool:
        return self._changes


def decide(account: Account, now: datetime) -> Decision:
    """Compare an account's levels with its firings. Pure."""
    verdicts: dict[Period, Verdict] = {}
    banner = None
    for level in account.levels:
        if not has_begun(level, now):
            continue
        latest = account.latest.get(level.period, {})
        standing = standing_of(level, now)
        verdicts[level.period] = verdict = judge(level.used, level.available, level.thresholds, latest, standing)
        if standing == "current" and level.period.rule == "usage":  # budgets only mail
            banner = banner_of(level.period, latest, verdict, now)
    for period in account.latest.keys() - verdicts.keys():
        if period.rule == "usage":  # no contract has it any more; months from before the settings stay as they were
            open_ones = sorted(threshold for threshold, at in account.latest[period].items() if at.is_open)
            verdicts[period] = Verdict(resolve=[(threshold, "removed") for threshold in open_ones])
    return Decision(account, verdicts, banner)


def banner_of(period: Period, latest: dict[int, Latest], verdict: Verdict, now: datetime) -> Banner | None:
    """The highest threshold that is met once the verdict is carried out."""
    resolved = {threshold for threshold, _ in verdict.resolve}
    met = {
        threshold: Banner(period, threshold, at.episode, at.fired_at)
        for threshold, at in latest.items()
        if at.is_open and threshold not in resolved
    } | {firing.threshold: Banner(period, firing.threshold, firing.episode, now) for firing in verdict.fire}
    return met[max(met)] if met else None
