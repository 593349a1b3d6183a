"""Stores the records of organizations in quarantine unchanged, in the transaction that moves the position past them."""

import json
from collections.abc import Collection, Mapping, Sequence

from runtime.postgres.pool import Connection

from aggregator.db.catalog_cache import Catalog
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import DecodedBatch
from aggregator.domain.record import Record

COUNTING, RELEASE, CATALOG_EVENTS, SUMS, TIME_ZONE = "counting", "release", "catalog", "sums", "time_zone"
"""Steps of the table `quarantine`. Only the first one puts further usage of the organization aside."""


def without(batch: DecodedBatch, names: Collection[str]) -> tuple[DecodedBatch, list[tuple[str, Record]]]:
    """A batch without the usage of these organizations, and the records taken out. Rejected records stay in the
    batch."""
    kept = batch._replace(
        uses=[use for use in batch.uses if use.series[0] not in names],
        corrections=[use for use in batch.corrections if use.series[0] not in names],
        failures=[at for at in batch.failures if at.organization not in names],
        columns=[part.take(~part.of_organizations(names)) for part in batch.columns],
    )
    records = [(use.series[0], use.record) for use in (*batch.uses, *batch.corrections) if use.series[0] in names]
    records += [(at.organization, at.record) for at in batch.failures if at.organization in names]
    for part in batch.columns:
        taken = part.take(part.of_organizations(names))
        organizations = [taken.heads.series[number][0] for number in taken.head.tolist()]
        records += zip(organizations, taken.records, strict=True)
    return kept, records


def only(batch: DecodedBatch, names: Collection[str]) -> DecodedBatch:
    """A batch with only the usage of these organizations, for a trial."""
    return batch._replace(
        uses=[use for use in batch.uses if use.series[0] in names],
        corrections=[use for use in batch.corrections if use.series[0] in names],
        rejections=[at for at in batch.rejections if at.who is not None and at.who[0] in names],
        failures=[],
        columns=[part.take(part.of_organizations(names)) for part in batch.columns],
    )


async def put_aside(
    connection: Connection, topic: str, records: Sequence[tuple[str, Record]], catalog: Catalog,
    failing: Mapping[str, str], result: BatchResult,
) -> None:  # fmt: skip
    """Store the records, and put the organizations `failing` into quarantine."""
    result.step = "quarantine"
    numbers = {name: catalog.organizations[name].organization_id for name, _ in records}
    reasons = sorted((numbers[name], reason) for name, reason in failing.items() if name in numbers)
    await quarantine(connection, COUNTING, reasons)
    if records:
        rows = [
            (
                numbers[name], record.partition, record.offset, record.key, record.value, headers_json(record),
                record.timestamp / 1000,
            )
            for name, record in records
        ]  # fmt: skip
        await connection.execute(SQL["insert_quarantined_records"], topic, *columns_of(rows))
    result.quarantined += [record for _, record in records]


async def quarantine(connection: Connection, step: str, reasons: Sequence[tuple[int, str]]) -> None:
    """Record that a step failed, for the first time or again, for these organizations. `reasons` is sorted by
    number."""
    if reasons:
        await connection.execute(SQL["upsert_quarantine"], step, *map(list, zip(*reasons, strict=True)))


def headers_json(record: Record) -> str:
    return json.dumps([[name, value.hex() if value is not None else None] for name, value in record.headers])
