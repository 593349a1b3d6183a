"""Preview: when unsaved thresholds would have fired over past usage. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

from flexcredits_schemas.alerts import is_met

from query_api.calendar import Span

Notification = Literal["sent", "bundled"]


class WouldFire(NamedTuple):
    """`used` is in micro-credits, from the span's first day to the end of `on`."""

    threshold: int
    on: date
    used: int
    notification: Notification


def would_fire(
    by_day: Mapping[date, int], span: Span, available: int | None, percents: Sequence[int]
) -> list[WouldFire]:
    """For each threshold, the first day on which the running total of a span's micro-credits met it, in order.

    Usage counts on its own day, even if it arrived late. A later correction does not undo a met threshold. If several are met
    on one day, only the highest is mailed.
    """
    if available is None or available <= 0:
        return []
    firings: list[WouldFire] = []
    waiting, used = sorted(set(percents)), 0
    for day in sorted(day for day in by_day if span.covers(day)):
        used += by_day[day]
        met = [percent for percent in waiting if is_met(used, available, percent)]
        waiting = waiting[len(met) :]
        firings += [WouldFire(percent, day, used, "sent" if percent == met[-1] else "bundled") for percent in met]
    return firings
