"""Decodes records of usage.events.v1 to uses, corrections and rejections. Pure: uses no catalog and no database."""

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from flexcredits_schemas.codec import InvalidEvent, decode
from flexcredits_schemas.events import Correction, Usage, UsageAgent
from flexcredits_schemas.identity import amount_of, bucket_of, identity_of

from aggregator.domain.columns.heads import Heads
from aggregator.domain.columns.read import read as read_columns
from aggregator.domain.columns.usage_columns import UsageColumns, heads_of
from aggregator.domain.people.attribution import Attribution, Run, attribution_of, run_of
from aggregator.domain.rating import Quantities, quantities_of
from aggregator.domain.record import Record
from aggregator.domain.time_window import OutsideWindow, check_window


class UsageRecord(NamedTuple):
    """One usage event or correction. Its first fields are the ledger key and the Kafka position, so that uses sort by
    them."""

    ledger_bucket: int  # before ledger_partitions.place(): the day inside the id
    identity: bytes
    partition: int
    offset: int
    series: tuple[str, str, str, str, str, str]  # the fields of SeriesKey; a plain tuple is created three times as fast
    occurred: float
    received: float
    credits: int | None  # None: not rated yet
    quantity: int | None
    unit: str | None
    agent: UsageAgent | None
    corrects: tuple[int, bytes] | None  # the original's ledger key
    record: Record
    attribution: Attribution | None = None
    run: Run | None = None
    quantities: Quantities | None = None  # of usage with several units; then credits, quantity and unit are None


class Kind(StrEnum):
    """Kinds of rejection, for metrics."""

    UNREADABLE = "unreadable"
    OUTSIDE_WINDOW = "outside_window"
    CONFLICT = "conflict"
    RATE = "rate"
    CORRECTION = "correction"


class Rejection(NamedTuple):
    record: Record
    reason: str
    pointer: str
    kind: Kind
    who: tuple[str, bytes] | None = None
    """Organization and identity, if the record contains them."""


class Failure(NamedTuple):
    """A record that may be valid, but that our code cannot read."""

    record: Record
    organization: str
    error: Exception


class DecodedBatch(NamedTuple):
    """The decoded records of a fetch, with the first and last offset and time of receipt of each partition."""

    uses: list[UsageRecord]
    """Usage that the exact path read."""
    corrections: list[UsageRecord]
    rejections: list[Rejection]
    columns: list[UsageColumns]
    """Usage that the columns took, in parts. All parts have the same Heads."""
    spans: dict[int, tuple[int, int]]
    first_received: dict[int, float]
    last_received: dict[int, float]
    failures: list[Failure]
    gaps: list[tuple[int, int, int]]
    """Partition, first offset, and the one after the last, of each range in the spans that holds no record."""


def reject(use: UsageRecord, kind: Kind, reason: str, pointer: str) -> Rejection:
    return Rejection(use.record, reason, pointer, kind, (use.series[0], use.identity))


def read_record(record: Record) -> UsageRecord:
    """Decode and check one record. Raises InvalidEvent."""
    if record.value is None:
        raise InvalidEvent("the record has no value")
    event = decode(record.value)
    if not isinstance(event, Usage | Correction):
        raise InvalidEvent("not usage: this type belongs on usage.catalog.v1", "/type")
    data = event.data
    agent = data.agent
    organization = event.subject
    identity = identity_of(organization, event.source, event.id)
    bucket = bucket_of(event.id, identity)
    occurred = event.time.timestamp()
    received = record.timestamp / 1000
    check_window(occurred, received)
    corrects = unit = attribution = run = quantities = None
    if isinstance(event, Correction):
        original = identity_of(organization, event.data.corrects.source, event.data.corrects.id)
        corrects = (bucket_of(event.data.corrects.id, original), original)
    else:
        unit = event.data.unit
        attribution, run = attribution_of(organization, event.data), run_of(event.data)
        quantities = quantities_of(event.data) if event.data.quantities else None
    amount = amount_of(event)
    credits, quantity = (amount, None) if unit is None else (None, amount)
    if quantities is not None:
        credits = None
    series = (
        organization,
        data.product,
        data.feature_kind,
        data.feature,
        agent.id if agent else "",
        data.surface or "",
    )
    return UsageRecord(
        bucket, identity, record.partition, record.offset, series, occurred, received, credits, quantity,
        unit, agent, corrects, record, attribution, run, quantities,
    )  # fmt: skip


def empty_batch() -> DecodedBatch:
    return DecodedBatch([], [], [], [], {}, {}, {}, [], [])


def read(records: Sequence[Record], into: DecodedBatch, heads: Heads | None = None) -> None:
    """Add `records` of one partition, in offset order, to a batch.

    With `heads`, usual usage is added as columns, in about a third of the time; from 1,000 records on, more at once are
    not faster. All columns of a batch need the same heads.
    """
    unusual = records
    if heads is not None:
        columns, unusual = read_columns(records, heads)
        if len(columns):
            into.columns.append(columns)
    for record in unusual:
        try:
            use = read_record(record)
        except InvalidEvent as error:
            kind = Kind.OUTSIDE_WINDOW if isinstance(error, OutsideWindow) else Kind.UNREADABLE
            into.rejections.append(Rejection(record, error.detail, error.pointer, kind, who_sent(record)))
        except Exception as error:
            if sender := who_sent(record):
                into.failures.append(Failure(record, sender[0], error))
            else:
                reason = f"cannot be read ({type(error).__name__}), and does not say who sent it"
                into.rejections.append(Rejection(record, reason, "", Kind.UNREADABLE))
        else:
            (into.corrections if use.corrects else into.uses).append(use)
    if records:
        first, last = records[0], records[-1]
        into.spans[first.partition] = (into.spans.get(first.partition, (first.offset, 0))[0], last.offset)
        into.first_received.setdefault(first.partition, first.timestamp / 1000)
        # Not the time of the last record: the clock of a broker may step back.
        latest = max(record.timestamp for record in records) / 1000
        into.last_received[first.partition] = max(latest, into.last_received.get(first.partition, 0.0))


def to_uses(columns: UsageColumns) -> list[UsageRecord]:
    """The rows as the exact path reads them, in their order."""
    return [read_record(record) for record in columns.records]


def without_columns(batch: DecodedBatch) -> DecodedBatch:
    """The batch with the rows of its columns among its uses."""
    if not batch.columns:
        return batch
    uses = [use for part in batch.columns for use in to_uses(part)]
    return batch._replace(uses=[*batch.uses, *uses], columns=[])


def organizations_of(batch: DecodedBatch) -> set[str]:
    """The organizations of usage and corrections, without those of rejections and failures."""
    return {key[0] for key in series_of(batch)}


def series_of(batch: DecodedBatch) -> set[tuple[str, str, str, str, str, str]]:
    """The series of usage and corrections."""
    keys = {use.series for use in batch.uses}
    keys.update(use.series for use in batch.corrections)
    keys.update(batch.columns[0].heads.series[number] for number in heads_of(batch.columns).tolist())
    return keys


def attributions_of(batch: DecodedBatch) -> dict[Attribution, float]:
    """The attributions of usage outside the columns, with the receipt of the first use."""
    return {use.attribution: use.received for use in reversed(batch.uses) if use.attribution is not None}


def find_gaps(partition: int, first: int, end: int, offsets: Iterable[int]) -> list[tuple[int, int, int]]:
    """The ranges from `first` to before `end` that contain none of these ascending offsets."""
    gaps, expected = [], first
    for offset in offsets:
        if offset > expected:
            gaps.append((partition, expected, offset))
        expected = offset + 1
    return [*gaps, (partition, expected, end)] if end > expected else gaps


def traceparents(batch: DecodedBatch, most: int) -> list[str]:
    """The distinct traceparents of the records that have one (W3C Trace Context in a header)."""
    found: dict[str, None] = {}
    records = [use.record for use in (*batch.uses, *batch.corrections)]
    for record in chain(records, *(part.records for part in batch.columns)):
        for name, value in record.headers:
            if name == "traceparent" and value is not None:
                found[value.decode("ascii", "replace")] = None
        if len(found) >= most:
            break
    return list(found)


def who_sent(record: Record) -> tuple[str, bytes] | None:
    """Organization and identity of a record that cannot be counted, for its receipt; None if they cannot be read."""
    try:
        event = json.loads(record.value or b"")
        organization, source, event_id = event["subject"], event["source"], event["id"]
        if not all(isinstance(part, str) and 0 < len(part) <= 128 for part in (organization, source, event_id)):
            return None
        return None if "\0" in organization else (organization, identity_of(organization, source, event_id))
    except (ValueError, RecursionError, TypeError, KeyError):
        return None


def reason_of(record: Record) -> str:
    """The reason that a correction gives."""
    event = decode(record.value or b"")
    assert isinstance(event, Correction)
    return event.data.reason
