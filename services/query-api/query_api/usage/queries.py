"""What we read about usage: its sums, and the series, features and agents that they are told apart by."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

import asyncpg
from flexcredits_schemas.events import PRODUCTS, Product
from runtime.postgres import Connection, load_sql

from query_api.contracts.domain.periods import Days, by_grain
from query_api.usage.breakdown.domain.rows import Agent, Feature, FeatureFact, Series, Use, agent_state

SQL = load_sql("query_api")

LEDGER_SCAN_MS = 15_000
# Looking up one series in the index of days costs about as much as four series cost when all days are read in order.
PICK_SERIES_UP_TO = 0.25


class PickedSeries(NamedTuple):
    by_id: dict[int, Series]
    of_all: int  # how many series the organization has

    def picks(self) -> list[int] | None:
        """What a statement is told to look up; None when reading all series in order is faster."""
        return sorted(self.by_id) if len(self.by_id) <= self.of_all * PICK_SERIES_UP_TO else None

    def divide(self, features: Collection[Feature]) -> tuple["PickedSeries", "PickedSeries"]:
        """The series of these features, and the others."""
        inside = {series_id: series for series_id, series in self.by_id.items() if series.feature in features}
        outside = {series_id: series for series_id, series in self.by_id.items() if series.feature not in features}
        return PickedSeries(inside, self.of_all), PickedSeries(outside, self.of_all)

    def of_surfaces(self, surfaces: Collection[str] | None) -> "PickedSeries":
        """The series of these surfaces, "" being usage that named none; all for None."""
        if surfaces is None:
            return self
        by_id = {series_id: series for series_id, series in self.by_id.items() if series.surface in surfaces}
        return PickedSeries(by_id, self.of_all)


class Rollups(NamedTuple):
    """Micro-credits at each grain."""

    quarter_hours: int
    days: int
    months: int
    organization_days: int
    organization_months: int


class UsageReads:
    """The part of `store.Reading` that knows usage. Credits are micro-credits."""

    _connection: Connection
    _id: int | None

    async def sum_products(self, *stretches: Days) -> list[dict[str, int]]:
        """Credits by product in each stretch; every product is there."""
        columns = zip(*(_columns(days)[1:] for days in stretches), strict=True)
        sums: list[dict[str, int]] = [dict.fromkeys(PRODUCTS, 0) for _ in stretches]
        for number, product, credits in await self._connection.fetch(SQL["sum_products"], self._id, *columns):
            sums[number - 1][product] = credits
        return sums

    async def select_days(self) -> Days | None:
        """First and last day with usage."""
        row = await self._connection.fetchrow(SQL["select_days"], self._id)
        return Days(row["first"], row["last"]) if row and row["first"] else None

    async def select_features(self, product: str, feature_kinds: Sequence[str]) -> list[FeatureFact]:
        rows = await self._connection.fetch(SQL["select_features"], self._id, product, feature_kinds)
        return [FeatureFact(Feature(row["feature_kind"], row["feature"]), *row[2:]) for row in rows]

    async def select_agents(self) -> dict[str, Agent]:
        rows = await self._connection.fetch(SQL["select_agents"], self._id)
        return {
            row["agent_id"]: Agent(
                agent_state(row["registered"], row["seen"], row["ever_saved"]), row["name"], row["deleted_at"]
            )
            for row in rows
        }

    async def select_series(self, products: Sequence[str], feature_kinds: Sequence[str]) -> PickedSeries:
        rows = await self._connection.fetch(SQL["select_series"], self._id, products, feature_kinds)
        return PickedSeries(
            {series_id: Series(Feature(kind, feature), *rest) for series_id, kind, feature, *rest, _ in rows},
            rows[0]["series"] if rows else 0,
        )

    async def select_used_surfaces(self, product: str, feature_kinds: Sequence[str]) -> list[str]:
        """Surfaces with counted usage of the product's features of these kinds, in any period, sorted."""
        rows = await self._connection.fetch(SQL["select_used_surfaces"], self._id, [product], feature_kinds)
        return [row["surface"] for row in rows]

    async def sum_uses(self, series: PickedSeries, stretches: Sequence[Days], *, by_surface: bool) -> list[Use]:
        """What was used within each stretch, whose first day is `day`; if not `by_surface`, any surface stands for all."""
        if not series.by_id:
            return []
        numbers: dict[tuple[Feature, str, str], int] = {}
        one_of: list[Series] = []
        groups: dict[int, int] = {}
        for series_id, one in series.by_id.items():
            groups[series_id] = number = numbers.setdefault(
                (one.feature, one.agent_id, one.surface if by_surface else ""), len(one_of)
            )
            if number == len(one_of):
                one_of.append(one)
        sums = await self.sum_groups(series, groups, stretches)
        return [Use(first, one_of[number], credits, events) for first, number, credits, events in sums]

    async def sum_groups(
        self, series: PickedSeries, groups: Mapping[int, int], stretches: Sequence[Days]
    ) -> list[tuple[date, int, int, int]]:
        """First day of the stretch, group, credits and events; `groups` gives the number of each series' group."""
        columns = zip(*map(_columns, stretches), strict=True)
        grouped = (groups.keys(), groups.values(), series.picks())
        rows = await self._sum("sum_groups", *columns, *grouped)
        return [(first, number, credits, events) for first, number, credits, events in rows]

    async def sum_quarters(
        self, groups: Mapping[int, int], starts: Sequence[datetime], end_at: datetime
    ) -> list[tuple[int, int, int, int]]:
        """Place of the bucket among those that begin at `starts`, group, credits and events. Only of kept quarters."""
        values = (starts, end_at, groups.keys(), groups.values())
        rows = await self._sum("sum_quarters", *values)
        return [(place, number, credits, events) for place, number, credits, events in rows]

    async def sum_product_days(self, products: Sequence[Product], days: Days) -> list[tuple[date, Product, int, int]]:
        """Day, product, credits and events; without the days on which a product was not used."""
        rows = await self._sum("sum_product_days", products, *days)
        return [(day, product, credits, events) for day, product, credits, events in rows]

    async def _sum(self, statement: str, *values: object) -> list[asyncpg.Record]:
        await self._connection.execute(SQL["plan_for_values"])
        return await self._connection.fetch(SQL[statement], self._id, *values)

    async def sum_rollups(self, whole_from: date, whole_from_at: datetime) -> Rollups:
        """Sums over all time; quarters of an hour count from `whole_from`, which begins at `whole_from_at`."""
        row = await self._connection.fetchrow(SQL["sum_rollups"], self._id, whole_from, whole_from_at)
        assert row is not None
        return Rollups(*row)

    async def select_first_quarter(self) -> date | None:
        first: date | None = await self._connection.fetchval(SQL["select_first_quarter"])
        return first

    async def sum_ledger(self, within_ms: int = LEDGER_SCAN_MS) -> int | None:
        """Credits of all counted events, or None when adding them up takes too long: no index leads to them."""
        try:
            async with self._connection.transaction():
                await self._connection.execute(SQL["set_statement_timeout"], str(within_ms))
                total: int = await self._connection.fetchval(SQL["sum_ledger"], self._id)
                return total
        except asyncpg.QueryCanceledError:
            return None


def _columns(days: Days) -> list[date | None]:
    """A stretch as the statement wants it: its first day, then the bounds of each of its grains, or nulls."""
    bounds: list[date | None] = [days.first]
    for grain in by_grain(days):
        bounds += grain or (None, None)
    return bounds
