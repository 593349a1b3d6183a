"""Applies batches with the aggregator's own code, without Kafka."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aggregator.backlog.held import Passes, release_held
from aggregator.backlog.quarantined import CatalogPlace, retry_catalog_events, retry_due
from aggregator.backlog.turns import Turns
from aggregator.catalog.events import apply_catalog_events
from aggregator.consumer.isolation import count_batch
from aggregator.db.catalog_cache import Catalog
from aggregator.db.progress import load_progress
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.columns.heads import Heads
from aggregator.domain.decode import empty_batch, read
from flexcredits_schemas.codec import InvalidEvent, decode, encode
from runtime.postgres.pool import Pool
from support.data.factories import FakeRecord, records

TOPIC, CATALOG = TOPICS = ("usage.events.v1", "usage.catalog.v1")
TOTALS = (
    "usage_ledger",
    "usage_15m",
    "usage_daily",
    "usage_monthly",
    "usage_organization_daily",
    "usage_organization_monthly",
)
"""Tables whose credits must each equal the sum of all counted usage."""


def canonical(record: FakeRecord) -> FakeRecord:
    """The record as ingest writes it, if its value is an event. Every seventh keeps its form, which the columns leave to
    the exact path."""
    if record.offset % 7 == 6:
        return record
    try:
        return replace(record, value=encode(decode(record.value or b"")))
    except InvalidEvent:
        return record


class Aggregator:
    """The aggregator without Kafka. Tests pass the records that Kafka would deliver."""

    def __init__(self, pool: Pool, heads: Heads | None = None) -> None:
        """With `heads`, usual usage is counted as columns."""
        self.pool = pool
        self.heads = heads
        self.in_columns = False
        self.catalog = Catalog()
        self.catalog_events = 0
        self.applying = Turns[CatalogPlace]()
        self.releasing = Passes()
        self.retrying = Turns[None]()

    async def learn(self, *events: dict[str, Any]) -> None:
        await load_progress(self.pool, CATALOG, [0])
        version = await apply_catalog_events(self.pool, CATALOG, records(events, first=self.catalog_events))
        self.catalog_events += len(events)
        async with self.pool.acquire() as connection:
            await self.catalog.refresh(connection, version)

    async def count(self, *batches: list[FakeRecord]) -> BatchResult:
        reading = empty_batch()
        for batch in batches:
            read([*map(canonical, batch)] if self.heads is not None else batch, reading, self.heads)
        await load_progress(self.pool, TOPIC, reading.spans)
        return await count_batch(self.pool, TOPICS, reading, self.catalog)

    async def count_in_pieces(
        self, chance: random.Random, log: Mapping[int, list[FakeRecord]], events: Sequence[dict[str, Any]]
    ) -> None:
        """Count a log in overlapping pieces, with the catalog events between them, five at a time."""
        position, rest = dict.fromkeys(log, 0), list(events)
        while any(position[at] < len(log[at]) for at in log):
            batches = []
            for at, kept in log.items():
                start, end = max(0, position[at] - chance.randint(0, 9)), position[at] + chance.randint(0, 40)
                if kept[start:end]:
                    batches.append(kept[start:end])
                    position[at] = max(position[at], min(end, len(kept)))
            if batches:
                await self.count(*batches)
            if rest:
                await self.learn(*rest[:5])
            rest = rest[5:]
        if rest:
            await self.learn(*rest)

    async def release(self) -> int:
        """Release all releasable usage; returns how many events."""
        released, more = 0, True
        while more:
            done, more = await release_held(self.pool, TOPICS, self.catalog, self.releasing)
            released += done
        return released

    async def refresh(self) -> None:
        async with self.pool.acquire() as connection:
            await self.catalog.refresh(connection, self.catalog.version)

    async def retry(self) -> int:
        """Retry all quarantined organizations now; returns how many records were applied."""
        await self.pool.execute("UPDATE quarantine SET retry_at = now()")
        done, more = 0, True
        while more:
            applied, more = await retry_catalog_events(self.pool, CATALOG, self.applying)
            done += applied
        await self.refresh()
        more = True
        while more:
            applied, more = await retry_due(self.pool, TOPICS, self.catalog, self.retrying)
            done += applied
        return done

    async def totals(self) -> dict[str, int]:
        """Micro-credits by table; they must be equal."""
        return {
            name: await self.pool.fetchval(f"SELECT coalesce(sum(credits), 0)::bigint FROM {name}") for name in TOTALS
        }

    async def total(self) -> int:
        totals = await self.totals()
        assert len(set(totals.values())) == 1, totals
        return totals["usage_ledger"]

    async def check_grains(self) -> None:
        """Compare monthly rollups, corrections, late usage and hours with the ledger and the progress."""
        counted = (
            "(SELECT l.*, s.product, (occurred_at AT TIME ZONE o.time_zone)::date AS day, (received_at AT TIME ZONE o.time_zone)::date AS received_on"
            " FROM usage_ledger l JOIN organizations o USING (organization_id) JOIN usage_series s USING (series_id) WHERE NOT held) AS l"
        )
        for table, expected in {
            "usage_monthly": "SELECT organization_id, date_trunc('month', day)::date, series_id, sum(credits)::bigint, count(*) FILTER (WHERE corrects IS NULL)"
            f" FROM {counted} GROUP BY 1, 2, 3",
            "usage_corrections": f"SELECT organization_id, day, series_id, sum(credits)::bigint, count(*) FROM {counted} WHERE corrects IS NOT NULL GROUP BY 1, 2, 3",
            "usage_late": "SELECT organization_id, day, received_on, product, sum(credits)::bigint, count(*) FILTER (WHERE corrects IS NULL)"
            f" FROM {counted} WHERE received_on > day GROUP BY 1, 2, 3, 4",
            "(SELECT topic, partition, sum(counted)::bigint, sum(duplicate)::bigint, sum(rejected)::bigint, sum(held)::bigint FROM partition_hours GROUP BY 1, 2) AS p":
            f"SELECT topic, partition, counted, duplicate, rejected, held FROM partition_progress WHERE topic = '{TOPIC}' AND next_offset > 0",
            "(SELECT partition, hour_at, counted FROM partition_hours WHERE counted > 0) AS h":
            f"SELECT kafka_partition, date_trunc('hour', received_at), count(*) FROM {counted} GROUP BY 1, 2",
        }.items():  # fmt: skip
            kept = {tuple(row) for row in await self.pool.fetch(f"SELECT * FROM {table}")}
            assert kept == {tuple(row) for row in await self.pool.fetch(expected)}, table

    async def progress(self) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("SELECT * FROM partition_progress WHERE topic = $1 ORDER BY partition", TOPIC)
        return [
            {name: row[name] for name in ("next_offset", "counted", "duplicate", "rejected", "held")} for row in rows
        ]
