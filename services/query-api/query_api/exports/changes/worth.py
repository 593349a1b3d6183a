"""What credits of a file were worth, and are worth today, by currency. Pure.

For each currency: before + used + re_rated = now, in micro-credits times millionths of the currency.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from query_api.calendar import Days
from query_api.exports.changes.differences import DayCredits
from query_api.exports.manifests.manifest import NO_WORTH, Worth


class WorthDifference(NamedTuple):
    before: int
    used: int
    re_rated: int

    @property
    def now(self) -> int:
        return self.before + self.used + self.re_rated


class PriceChange(NamedTuple):
    """A day of the file whose price is another one today."""

    day: date
    before: Worth
    now: Worth


def compare_worth(
    by_day: Mapping[date, DayCredits], then: Sequence[tuple[Days, Worth]], now: Sequence[tuple[Days, Worth]]
) -> tuple[dict[str | None, WorthDifference], list[PriceChange]]:
    """Days without a price are worth nothing."""
    sums: dict[str | None, list[int]] = {}
    changed = []

    def add(currency: str | None, part: int, amount: int) -> None:
        sums.setdefault(currency, [0, 0, 0])[part] += amount

    for day in sorted(by_day):
        credits, (old_currency, old), (currency, price) = by_day[day], _at(then, day), _at(now, day)
        if old is not None:
            add(old_currency, 0, credits.then * old)
        if price is not None:
            add(currency, 1, (credits.now - credits.then) * price)
        if credits.then and (old_currency, old) != (currency, price):
            changed.append(PriceChange(day, (old_currency, old), (currency, price)))
            if old is not None:
                add(old_currency, 2, -credits.then * old)
            if price is not None:
                add(currency, 2, credits.then * price)
    return {currency: WorthDifference(*parts) for currency, parts in sums.items()}, changed


def _at(ranges: Sequence[tuple[Days, Worth]], day: date) -> Worth:
    place = bisect_right(ranges, day, key=lambda each: each[0].first)
    return ranges[place - 1][1] if place and ranges[place - 1][0].last >= day else NO_WORTH
