"""What we read from Postgres: every read inside one read-only snapshot that row-level security ties to one organization."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

import asyncpg
from flexcredits_schemas.events import Product
from runtime.postgres import Connection, Pool, load_sql, passing_failure

from query_api.breakdown import Agent, Feature, FeatureFact, Series, Use, agent_state
from query_api.contract_store import ContractReads
from query_api.export_store import ExportReads
from query_api.firings import Firing, RaisedBanner, SentTo
from query_api.ledger_store import LedgerReads
from query_api.periods import PRODUCTS, Days, by_grain

SQL = load_sql("query_api")

ACQUIRE_S = 2.0
LEDGER_SCAN_MS = 15_000
# Looking up one series in the index of days costs about as much as four series cost when all days are read in order.
PICK_SERIES_UP_TO = 0.25


class Unavailable(Exception):
    """Postgres does not answer, or not in time."""


class NotIsolated(Exception):
    """The database role is exempt from row-level security: an organization could see another's rows."""


class Organization(NamedTuple):
    """Ids are None when nothing is known; no time zone means that no fact about it has arrived."""

    organization_id: int | None
    time_zone: str | None
    billing_moderator_enabled: bool
    removed: bool  # the person who asks has left it
    name: str | None
    locale: str


class Watermark(NamedTuple):
    partitions: int
    updated_at: datetime | None
    complete_to: datetime | None


class Version(NamedTuple):
    """Counts of what usage and catalog have come to; with another content, one of them is another."""

    events: int
    credits: int
    corrections: int
    sightings: Decimal
    newest_fact: int


class Level(NamedTuple):
    """What totals and banner follow from on one day."""

    events: int
    credits: int
    corrections: int
    newest_contract: int | None
    newest_fact: int | None
    banner: str | None


class Progress(NamedTuple):
    topic: str
    partition: int
    applied: int
    counted: int
    duplicate: int
    rejected: int
    held: int
    end_offset: int | None
    end_seen_at: datetime | None


class Audited(NamedTuple):
    audit_id: int
    at: datetime
    subject: str
    email: str
    role: str
    action: str
    details: str  # JSON
    request_id: str
    ip: str | None


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


@contextmanager
def reaching_postgres(given_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Turns failures that pass into Unavailable, or into nothing when nobody wants any more of what failed."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        if given_up():
            return
        # A value that asyncpg cannot encode is a ValueError too, and a defect of ours.
        if isinstance(error, ValueError) or not (
            passing_failure(error) or isinstance(error, asyncpg.QueryCanceledError)
        ):
            raise
        raise Unavailable(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def read_as(pool: Pool, organization: str, email: str, *, wait_s: float = ACQUIRE_S) -> AsyncIterator["Reading"]:
    """One snapshot for all reads of a request. Raises Unavailable, from the reads inside the block too."""
    unfinished = False
    with reaching_postgres(lambda: unfinished):
        async with (
            pool.acquire(timeout=wait_s) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(SQL["act_for"], organization)
            row = await connection.fetchrow(SQL["select_organization"], organization, email)
            assert row is not None
            if not row["is_isolated"]:
                raise NotIsolated(NotIsolated.__doc__)
            reading = Reading(connection, Organization(*row[:6]))
            yield reading
            unfinished = reading.unfinished


class Reading(ContractReads, ExportReads, LedgerReads):
    """The reads of one request, all of one organization and one instant. Credits are micro-credits."""

    def __init__(self, connection: Connection, organization: Organization) -> None:
        self._connection = connection
        self.organization = organization
        self._id = organization.organization_id

    async def select_watermark(self, topic: str) -> Watermark:
        row = await self._connection.fetchrow(SQL["select_watermark"], topic)
        assert row is not None
        return Watermark(*row)

    async def select_version(self) -> Version:
        row = await self._connection.fetchrow(SQL["select_version"], self._id)
        assert row is not None
        return Version(*row)

    async def select_level(self) -> Level:
        row = await self._connection.fetchrow(SQL["select_level"], self._id)
        assert row is not None
        return Level(*row)

    async def select_progress(self, topic: str) -> list[Progress]:
        return [Progress(*row) for row in await self._connection.fetch(SQL["select_progress"], topic)]

    async def count_held(self) -> int:
        held: int = await self._connection.fetchval(SQL["count_held"], self._id)
        return held

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

    async def select_banner(self) -> RaisedBanner | None:
        row = await self._connection.fetchrow(SQL["select_banner"], self._id)
        return RaisedBanner(*row) if row else None

    async def select_firings(self, before: int | None, limit: int) -> list[Firing]:
        """The newest first, those before the firing `before` or from the newest on."""
        return [Firing(*row) for row in await self._connection.fetch(SQL["select_firings"], self._id, before, limit)]

    async def select_deliveries(self, firing_ids: Sequence[int]) -> dict[int, list[SentTo]]:
        """Mails by firing, sorted by recipient; nothing for a firing without any."""
        by_firing: dict[int, list[SentTo]] = {}
        for firing_id, *delivery in await self._connection.fetch(SQL["select_deliveries"], self._id, firing_ids):
            by_firing.setdefault(firing_id, []).append(SentTo(*delivery))
        return by_firing

    async def select_audit(self, before: int | None, limit: int) -> list[Audited]:
        """The newest first, those before the row `before` or from the newest on."""
        return [Audited(*row) for row in await self._connection.fetch(SQL["select_audit"], self._id, before, limit)]

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


async def find_problem(pool: Pool) -> str | None:
    """Why requests cannot be answered now, for the readiness probe."""
    try:
        async with read_as(pool, "", ""):
            return None
    except (Unavailable, NotIsolated) as error:
        return f"Postgres: {error}"
