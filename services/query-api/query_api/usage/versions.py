"""The version of an organization's usage: while it is equal, so is what was read at it."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.freshness.queries import Watermark

ProductMonth = tuple[date, str]
"""The first day of a calendar month, and a product."""


class NamesVersion(NamedTuple):
    """Counters of what names usage. Series are never deleted, so their number changes whenever one is added."""

    series: int
    newest_event_offset: int
    newest_reload: int
    """Of catalog events that were applied late, with a lower offset."""
    sightings: Decimal


class UsageVersion(NamedTuple):
    """Counters of one snapshot. If the content changes, at least one of them changes."""

    credits: Mapping[ProductMonth, int]
    """Micro-credits. Months without usage are left out."""
    events: Mapping[ProductMonth, int]
    corrections: Mapping[date, int]
    """Number of corrections by the first day of the month. Months without corrections are left out."""
    rebuilt: int
    contracts: str
    """Of the contracts and their credit periods; empty if there are none."""
    names: NamesVersion | None
    """None unless it was asked for."""
    watermark: Watermark

    @property
    def tag(self) -> tuple[object, ...]:
        """The version in few values."""
        return (
            sum(self.events.values()), sum(self.credits.values()), sum(self.corrections.values()), self.rebuilt,
            self.contracts, self.names,
        )  # fmt: skip

    def of_month(self, month: date, *products: str) -> tuple[int, ...]:
        """The version of the usage of products in a month that begins on the day `month`."""
        counters = [counter.get((month, product), 0) for product in products for counter in (self.events, self.credits)]
        return (*counters, self.corrections.get(month, 0), self.rebuilt)

    def months_in(self, days: Days) -> list[date]:
        """The months with usage that have days of the range, in order."""
        first = days.first.replace(day=1)
        return sorted({month for month, _ in self.credits if first <= month <= days.last})


async def select_usage_version(session: ReadSession, topic: str, *, with_names: bool = True) -> UsageVersion:
    """The version of the session's snapshot, and the watermark of the usage topic."""
    row = await session.connection.fetchrow(SQL["select_usage_version"], session.organization_id, topic, with_names)
    assert row is not None
    months = list(zip(row["months"] or (), row["products"] or (), strict=True))
    return UsageVersion(
        dict(zip(months, row["credits"] or (), strict=True)),
        dict(zip(months, row["events"] or (), strict=True)),
        dict(zip(row["corrected_months"] or (), row["corrections"] or (), strict=True)),
        row["rebuilt"],
        row["contracts"] or "",
        NamesVersion(row["series"], row["newest_event_offset"], row["newest_reload"], row["sightings"])
        if with_names
        else None,
        Watermark(row["partitions"], row["updated_at"], row["complete_to"]),
    )
