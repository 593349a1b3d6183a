"""What this process knows of the catalog in memory: enough to place and rate usage."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg
import structlog
from flexcredits_schemas.zones import find_zone
from runtime.isolation import Shared
from runtime.postgres.pool import Connection, Pool
from runtime.postgres.statements import from_record

from aggregator.db.statements import SQL
from aggregator.domain.rating import Rate, RateCard
from aggregator.domain.rollup import Organization
from aggregator.domain.sum_limit import Gross

log = structlog.get_logger()
CATALOG_LOCK = 0x666C6501  # shared by batches that rate, exclusive for applying facts
STATEMENT_S = 20.0
"""How long a statement of a transaction that counts may take; a process that stands still for STUCK_EXIT_S ends."""
SERIES_MAX = 1_000_000  # some 500 bytes each; beyond that it is cheaper to look up again than to keep


SIGHTING_S = 900.0  # an unchanged name is written again when it was last seen this much earlier


class StaleCatalog(Shared):
    """Another aggregator applied facts, or claimed a correction, after this batch was decided; decide it again."""


class Sighting(NamedTuple):
    """When usage last had an agent, and what the latest usage that named it called it; "" and None while none did."""

    seen: float
    name: str = ""
    named: float | None = None


@dataclass
class Catalog:
    """A copy of Postgres' organizations, rates and series. `version` is the catalog offset up to which it is complete."""

    version: int = 0
    changes: int = 0
    """How many changes beside the order of the catalog this knows: of a time zone by hand, and facts applied late."""
    organizations: dict[str, Organization] = field(default_factory=dict)
    series_ids: dict[tuple[str, ...], int] = field(default_factory=dict)
    card: RateCard = field(default_factory=RateCard)
    ledger_days: set[int] = field(default_factory=set)
    """Days since 1970 of which the ledger was seen to have a partition."""
    sightings: dict[tuple[int, str, str], Sighting] = field(default_factory=dict)
    """Per organization, agent and kind: what agent_sightings was told by this process."""
    aside: set[str] = field(default_factory=set)
    """Organizations that were in quarantine when we last met them in a batch."""
    unknown_zones: dict[int, str] = field(default_factory=dict)
    """By organization, a time zone that the locked rules do not have: its usage is held."""
    slow_batches: int = 0
    """Batches in a row in which Postgres was too slow for everybody."""
    limited: set[int] = field(default_factory=set)
    """Organizations whose sums were seen near their limit."""
    gross: dict[int, Gross] = field(default_factory=dict)
    """What the sums of organizations with large ones came to lately."""
    unlimiting: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """Organizations of which somebody asks for what is beyond the limit, and how far it was taken up."""

    async def refresh(self, connection: Connection, version: int) -> None:
        """Take over the facts from `self.version` up to `version`, which the caller has seen committed."""
        [row] = await connection.fetch(SQL["select_changes"])
        changes: int = row["changes"]
        since = self.version if changes == self.changes else -1
        organizations = await connection.fetch(SQL["select_changed_organizations"], since)
        rates = await connection.fetch(SQL["select_changed_rates"], since)
        # From here on without a pause: a batch decides with all of it, or none.
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

    async def learn(self, pool: Pool, keys: set[tuple[str, str, str, str, str, str]]) -> None:
        """Number the organizations and series of `keys` that have no number yet, in transactions of their own.

        Numbers without usage do no harm, and the counting transaction then never waits for another's new series.
        """
        keys = keys - self.series_ids.keys()
        if not keys:
            return
        await self.learn_organizations(pool, {key[0] for key in keys})
        if len(self.series_ids) + len(keys) > SERIES_MAX:
            self.series_ids.clear()
            self.sightings.clear()
        ordered = sorted(keys)
        columns: list[list[object]] = [list(column) for column in zip(*ordered, strict=True)]
        columns[0] = [self.organizations[key[0]].organization_id for key in ordered]
        await pool.execute(SQL["ensure_series"], *columns)
        rows = await pool.fetch(SQL["select_series"], *columns)
        self.series_ids.update(zip(ordered, (row["series_id"] for row in rows), strict=True))

    async def learn_organizations(self, pool: Pool, names: Collection[str]) -> None:
        """Number organizations that have no number yet."""
        if names := sorted(set(names) - self.organizations.keys()):
            await pool.execute(SQL["ensure_organizations"], names)
            for row in await pool.fetch(SQL["select_organizations"], names):
                # The zone stays unknown here even if the fact is in Postgres by now: refresh brings it with its version.
                self.organizations.setdefault(row["organization"], Organization(row["organization_id"], None))


async def hold_catalog(
    connection: Connection, catalog_topic: str, catalog: Catalog, statement_s: float = STATEMENT_S
) -> None:
    """Keep the catalog still until the transaction ends, whose statements may take so long. Raises StaleCatalog when it is not
    the catalog we decided with."""
    await connection.execute(SQL["lock_catalog_shared"], CATALOG_LOCK, f"{statement_s:g}s")
    [row] = await connection.fetch(SQL["select_catalog_version"], catalog_topic)
    if row["next_offset"] not in (None, catalog.version) or row["changes"] != catalog.changes:
        raise StaleCatalog


def _usable_zone(row: asyncpg.Record) -> str | None:
    """A zone that the locked rules do not have counts nothing: its organization's usage is held until another is known."""
    zone: str | None = row["time_zone"]
    if zone is not None and find_zone(zone) is None:
        log.warning("unknown time zone: usage is held", organization=row["organization"], time_zone=zone)
        return None
    return zone
