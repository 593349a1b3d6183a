"""The catalog in memory: organizations, rates and series, enough to place and rate usage."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import asyncpg
import structlog
from flexcredits_schemas.rating.card import Rate, RateCard
from flexcredits_schemas.zones import find_zone
from runtime.isolation import Shared
from runtime.postgres.pool import Connection, Pool
from runtime.postgres.statements import from_record

from aggregator.db.statements import SQL
from aggregator.domain.counting.places import Places
from aggregator.domain.counting.recent import RecentIdentities
from aggregator.domain.limits.admission import ATTRIBUTIONS_PER_MONTH, SERIES_PER_MONTH
from aggregator.domain.limits.series_key import SeriesKey
from aggregator.domain.people.attribution import Attribution
from aggregator.domain.rollup import Organization
from aggregator.domain.sum_limit import Gross

log = structlog.get_logger()
CATALOG_LOCK = 0x666C6501  # shared by batches that rate, exclusive while catalog events are applied
STATEMENT_S = 20.0
"""Statement timeout of a transaction that counts. A process without progress for STUCK_EXIT_S ends."""
ATTRIBUTION_BYTES_MAX = 128 * 2**20
"""Limit of the memory of attributions' numbers: their texts may have 4 kB each, and may differ in each event."""
SERIES_MAX = 1_000_000  # about 500 bytes each; beyond that a query is cheaper than the memory
FOLDED_MAX = 100_000
"""Series that others stand for, in memory. They may differ in each event, so they must not displace those of others."""

SIGHTING_S = 900.0  # an unchanged name is written again when it was last seen this long before


def largest_of(sizes: Counter[str], most: int) -> set[str]:
    """The organizations with most, without which at most three quarters of `most` are left."""
    names, left = set[str](), sizes.total()
    for name, size in sizes.most_common():
        if left <= most * 3 // 4:
            break
        names.add(name)
        left -= size
    return names


class StaleCatalog(Shared):
    """Another aggregator applied catalog events, claimed a correction, or added a row to a rollup after this batch was
    decided: decide it again."""


class Sighting(NamedTuple):
    """When usage last had an agent, and the name in the latest usage that gives one. Without a name: "" and None."""

    seen: float
    name: str = ""
    named: float | None = None


@dataclass
class Catalog:
    """A copy of the organizations, rates and series in Postgres. `version` is the catalog offset up to which it is
    complete."""

    version: int = 0
    changes: int = 0
    """The number of known changes outside the order of the catalog: time zones changed by an operator, and events
    applied late."""
    organizations: dict[str, Organization] = field(default_factory=dict)
    series_ids: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Numbers of series, or of those that stand for them (see `folded_series`)."""
    folded_series: dict[tuple[str, ...], SeriesKey] = field(default_factory=dict)
    """By series beyond the limit of its organization, the one that stands for it."""
    series_per_month: int = SERIES_PER_MONTH
    attribution_ids: dict[Attribution, int] = field(default_factory=dict)
    attribution_bytes: Counter[str] = field(default_factory=Counter)
    """Estimated memory of `attribution_ids`, by organization."""
    month: date = date.min
    """The latest month of receipt."""
    has_folded: bool = False
    """Whether some of `attribution_ids` stand for others."""
    attributions_per_month: int = ATTRIBUTIONS_PER_MONTH
    card: RateCard = field(default_factory=RateCard)
    ledger_days: set[int] = field(default_factory=set)
    """Days since 1970 for which the ledger was seen to have a partition."""
    places: Places | None = None
    """The places of the heads of the stream's columns."""
    recent: RecentIdentities = field(default_factory=RecentIdentities)
    quarter_months: set[date] = field(default_factory=set)
    """First days of the months for which the quarter-hour rollup was seen to have a partition."""
    sightings: dict[tuple[int, str, str], Sighting] = field(default_factory=dict)
    """By organization, agent and kind: the sightings that this process has written to agent_sightings."""
    aside: set[str] = field(default_factory=set)
    """Organizations that were in quarantine when a batch last contained them."""
    unknown_zones: dict[int, str] = field(default_factory=dict)
    """By organization, a time zone that the locked rules do not contain. Its usage is held."""
    slow_batches: int = 0
    """Consecutive batches for which Postgres was too slow for all organizations."""
    limited: set[int] = field(default_factory=set)
    """Organizations whose sums were seen near the limit."""
    gross: dict[int, Gross] = field(default_factory=dict)
    """The latest known sums of organizations with large sums."""
    unlimiting: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """Organizations whose usage beyond the limit an operator wants to retry, and the last place that was retried."""

    async def refresh(self, connection: Connection, version: int) -> None:
        """Load the catalog events from `self.version` up to `version`, which the caller has seen committed."""
        [row] = await connection.fetch(SQL["select_changes"])
        changes: int = row["changes"]
        since = self.version if changes == self.changes else -1
        organizations = await connection.fetch(SQL["select_changed_organizations"], since)
        rates = await connection.fetch(SQL["select_changed_rates"], since)
        # No await from here on: a batch decides with all of the changes, or none.
        for row in organizations:
            zone = _usable_zone(row)
            self.organizations[row["organization"]] = Organization(row["organization_id"], zone)
            self.unknown_zones.pop(row["organization_id"], None)
            if zone != row["time_zone"]:
                self.unknown_zones[row["organization_id"]] = row["time_zone"]
        if changes != self.changes:
            self.card = RateCard()
        self.card.add(from_record(Rate, row) for row in rates)
        self.version, self.changes = version, changes

    @property
    def has_several(self) -> bool:
        """Whether more than one organization is known."""
        return len(self.organizations.keys() - {""}) > 1

    def make_room(self) -> None:
        """Drop numbers of series or attributions when there are too many, before those of a batch are learned: those of the
        organizations with most, so that the others need not be read again."""
        if len(self.folded_series) > FOLDED_MAX:
            self.forget_folded_series()
        if len(self.series_ids) > SERIES_MAX:
            names = largest_of(Counter(key[0] for key in self.series_ids), SERIES_MAX)
            for key in [key for key in self.series_ids if key[0] in names]:
                del self.series_ids[key]
                self.folded_series.pop(key, None)
            self.sightings.clear()
            self.places = None
        if self.attribution_bytes.total() > ATTRIBUTION_BYTES_MAX:
            names = largest_of(self.attribution_bytes, ATTRIBUTION_BYTES_MAX)
            for attribution in [each for each in self.attribution_ids if each.organization in names]:
                del self.attribution_ids[attribution]
            for name in names:
                del self.attribution_bytes[name]
            self.places = None

    def enter_month(self, month: date) -> None:
        """Note the month of receipts. What stands for others gets another chance in a new one."""
        if month > self.month:
            self.month = month
            if self.has_folded:
                self.forget_attributions()
            if self.folded_series:
                self.forget_folded_series()

    def note_series(self, numbers: Mapping[SeriesKey, int], recorded: Mapping[SeriesKey, SeriesKey]) -> None:
        """Note the numbers of series, and those that are `recorded` as another one.

        A batch and the retry of a quarantine may learn the same series at once, and decide otherwise: the last one counts.
        """
        for key, number in numbers.items():
            self.series_ids[key] = number
            kept = recorded.get(key, key)
            if kept != key:
                self.folded_series[key] = kept
            else:
                self.folded_series.pop(key, None)

    def forget_folded_series(self) -> None:
        for key in self.folded_series:
            self.series_ids.pop(key, None)
        self.folded_series.clear()
        self.places = None

    def forget_attributions(self) -> None:
        self.has_folded = False
        self.attribution_ids.clear()
        self.attribution_bytes.clear()
        self.places = None

    async def learn_organizations(self, pool: Pool, names: Collection[str]) -> None:
        """Create and load numbers for organizations that have none yet."""
        if names := sorted(set(names) - self.organizations.keys()):
            await pool.execute(SQL["ensure_organizations"], names)
            for row in await pool.fetch(SQL["select_organizations"], names):
                # The zone stays unknown here even if its catalog event is in Postgres by now: refresh loads it with its
                # version.
                self.organizations.setdefault(row["organization"], Organization(row["organization_id"], None))


async def hold_catalog(
    connection: Connection, catalog_topic: str, catalog: Catalog, statement_s: float = STATEMENT_S
) -> None:
    """Prevent changes of the catalog until the transaction ends, and set the timeout of its statements to
    `statement_s`.

    Raises StaleCatalog when the catalog in Postgres is not the one of the decisions.
    """
    await connection.execute(SQL["lock_catalog_shared"], CATALOG_LOCK, f"{statement_s:g}s")
    [row] = await connection.fetch(SQL["select_catalog_version"], catalog_topic)
    if row["next_offset"] not in (None, catalog.version) or row["changes"] != catalog.changes:
        raise StaleCatalog


def _usable_zone(row: asyncpg.Record) -> str | None:
    """The zone of an organization, or None if the locked rules do not contain it: its usage is held until it has
    another zone."""
    zone: str | None = row["time_zone"]
    if zone is not None and find_zone(zone) is None:
        log.warning("unknown time zone: usage is held", organization=row["organization"], time_zone=zone)
        return None
    return zone
