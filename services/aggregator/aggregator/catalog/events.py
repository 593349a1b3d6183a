"""Writes catalog events into their tables: one transaction per range of the catalog topic, fenced as usage is."""

from collections import defaultdict
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from flexcredits_schemas.codec import InvalidEvent, decode
from flexcredits_schemas.events import Contract, Correction, Organization, Rate, Usage
from flexcredits_schemas.zones import TZ_VERSION, changes_of
from runtime.isolation import describe_failure, is_data_failure
from runtime.postgres.pool import Connection, Pool

from aggregator.catalog.contracts import apply_contract
from aggregator.catalog.directory import writes_of
from aggregator.catalog.rates import ALL_ORGANIZATIONS, SentRate, apply_rate, apply_rates, by_organization
from aggregator.catalog.shares import Shares
from aggregator.db.catalog_cache import CATALOG_LOCK
from aggregator.db.dead_letters import insert_dead_letters
from aggregator.db.progress import OffsetGap
from aggregator.db.quarantine import CATALOG_EVENTS, headers_json, quarantine
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.decode import Kind, Rejection
from aggregator.domain.record import Record
from aggregator.metrics import DEAD_LETTERS, QUARANTINES

log = structlog.get_logger()


async def apply_catalog_events(
    pool: Pool, topic: str, records: Sequence[Record], span: tuple[int, int] | None = None
) -> int:
    """Apply one partition's `records` and return its new next_offset. Safe to repeat; raises OffsetGap.

    Events that fail wait in quarantine, however many there are: none is lost, and each is applied later by its own
    time. So do events beyond the share of their organization, until its turn comes (retry_catalog_events).

    `span` gives the first offset that was read and the one after the last, if the reader knows that the log holds no
    other records there.
    """
    begin, end = span or (records[0].offset, records[-1].offset + 1)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["lock_catalog"], CATALOG_LOCK)
        [progress] = await connection.fetch(SQL["lock_progress"], topic, [0])
        position: int = progress["next_offset"]
        records = [record for record in records if record.offset >= position]
        if end <= position:
            return position
        skipped = end - position - len(records)
        if begin > position or (skipped and span is None):
            raise OffsetGap(f"{topic}: Postgres expects offset {position}, Kafka delivers {begin}")
        rejections: list[Rejection] = []
        failures: list[tuple[int, Record, Exception]] = []
        decoded = _decode_all(records)
        concerned, beyond, left = await _apply_at_once(connection, decoded, records)
        rejections += beyond
        names = decoded.names
        shares = Shares(await _select_waiting(connection, {names[at.offset] for at in left if at.offset in names}))
        waiting: list[tuple[str, Record]] = []
        for record in left:
            name = names.get(record.offset)
            if name is not None and not shares.take(name, record):
                waiting.append((name, record))
                continue
            try:
                async with connection.transaction():
                    concerned.add(await apply_catalog_event(connection, record))
            except InvalidEvent as error:
                rejections.append(Rejection(record, error.detail, error.pointer, Kind.UNREADABLE))
            except Exception as error:
                if not is_data_failure(error):
                    raise
                await _set_aside(connection, record, error, failures, rejections)
        await _keep(connection, topic, failures)
        await _let_wait(connection, topic, waiting)
        if concerned:
            await connection.execute(SQL["retry_now"], sorted(concerned))
            await connection.execute(SQL["insert_wakeups"], sorted(concerned))
        await insert_dead_letters(connection, topic, rejections)
        received = [max(record.timestamp for record in records) / 1000 if records else None]
        records_end = [records[-1].offset + 1 if records else None]
        held = len(failures) + len(waiting)
        applied = len(records) - len(rejections) - held
        await connection.execute(
            SQL["advance_progress"],
            topic, [0], [end], [applied], [0], [len(rejections)], [held], [skipped], records_end, received,
        )  # fmt: skip
    DEAD_LETTERS.labels(Kind.UNREADABLE).inc(len(rejections))
    return end


class _Decoded(NamedTuple):
    """Records by how their events are applied."""

    writes: defaultdict[str, list[tuple[str, tuple[object, ...]]]]
    """By statement, the organizations and parameters of events whose order among others does not matter."""
    rates: list[tuple[str, SentRate]]
    left: list[Record]
    """The records to apply one at a time."""
    names: dict[int, str]
    """By offset, the organizations of contracts, which may wait for their turn."""
    rejections: list[Rejection]


def _decode_all(records: Sequence[Record]) -> _Decoded:
    decoded = _Decoded(defaultdict(list), [], [], {}, [])
    for record in records:
        try:
            event = decode(record.value or b"")
        except InvalidEvent as error:
            decoded.rejections.append(Rejection(record, error.detail, error.pointer, Kind.UNREADABLE))
            continue
        except Exception as error:
            if not is_data_failure(error):
                raise
            decoded.left.append(record)
            continue
        name = event.subject or ""
        if isinstance(event, Rate):
            decoded.rates.append((name, SentRate(event, record)))
            continue
        found = writes_of(event, record.offset)
        for statement, parameters in found:
            decoded.writes[statement].append((name, parameters))
        if not found:
            decoded.left.append(record)
        if isinstance(event, Contract):
            decoded.names[record.offset] = name
    return decoded


async def _apply_at_once(
    connection: Connection, decoded: _Decoded, records: Sequence[Record]
) -> tuple[set[int], list[Rejection], list[Record]]:
    """Apply with few statements the events whose order among others does not matter, and rates in their order: no aggregator
    counts meanwhile, and one organization may send very many.

    Returns the numbers of their organizations, the events that are rejected, and the records to apply one at a time.
    """
    rejections, left, concerned = [*decoded.rejections], [*decoded.left], set[int]()
    try:
        async with connection.transaction():
            writers = {name for rows in decoded.writes.values() for name, _ in rows}
            numbers = await _organization_ids(connection, writers | {name for name, _ in decoded.rates})
            concerned |= {numbers[name] for name in writers}
            for statement, rows in decoded.writes.items():
                await connection.executemany(SQL[statement], [(numbers[name], *values) for name, values in rows])
            for name, sent in by_organization(decoded.rates):
                applied = await apply_rates(connection, numbers[name], sent)
                rejections += applied.rejections
                left += applied.left
                concerned |= set() if applied.is_full else {numbers[name]}
    except Exception as error:
        if not is_data_failure(error):
            raise
        return set(), [], [*records]
    return concerned, rejections, sorted(left, key=lambda record: record.offset)


async def _select_waiting(connection: Connection, names: Set[str]) -> list[str]:
    """The organizations, of these, with catalog events in quarantine."""
    if not names:
        return []
    rows = await connection.fetch(SQL["select_waiting"], sorted(names))
    return [row["organization"] for row in rows]


async def _let_wait(connection: Connection, topic: str, waiting: Sequence[tuple[str, Record]]) -> None:
    """Store events until the turn of their organizations, which is due at once."""
    if waiting:
        numbers = await _organization_ids(connection, {name for name, _ in waiting})
        await connection.execute(SQL["await_turn"], sorted(numbers.values()))
        await _store(connection, topic, [(numbers[name], record) for name, record in waiting])
        log.info("catalog events wait for their turn", organizations=len(numbers), events=len(waiting))


async def _set_aside(
    connection: Connection, record: Record, error: Exception, failures: list[tuple[int, Record, Exception]],
    rejections: list[Rejection],
) -> None:  # fmt: skip
    """Put a valid event that fails into the quarantine of its organization. Without a known organization it becomes a
    dead letter."""
    try:
        async with connection.transaction():
            number = await _organization_id(connection, decode(record.value or b"").subject or "")
    except Exception as unfounded:
        if not is_data_failure(unfounded):
            raise
        rejections.append(Rejection(record, f"cannot be applied: {describe_failure(error)}", "", Kind.UNREADABLE))
    else:
        failures.append((number, record, error))


async def _keep(connection: Connection, topic: str, failures: Sequence[tuple[int, Record, Exception]]) -> None:
    if not failures:
        return
    reasons = {number: f"catalog event: {describe_failure(error)}" for number, _, error in failures}
    await quarantine(connection, CATALOG_EVENTS, sorted(reasons.items()))
    await _store(connection, topic, [(number, record) for number, record, _ in failures])
    for number, reason in reasons.items():
        QUARANTINES.labels("aggregator").inc()
        log.error("catalog events in quarantine", organization_id=number, reason=reason)


async def _store(connection: Connection, topic: str, records: Sequence[tuple[int, Record]]) -> None:
    rows = [
        (number, at.partition, at.offset, at.key, at.value, headers_json(at), at.timestamp / 1000)
        for number, at in records
    ]
    await connection.execute(SQL["insert_quarantined_records"], topic, *columns_of(rows))


def is_contract(record: Record) -> bool:
    return isinstance(decode(record.value or b""), Contract)


async def apply_catalog_event(connection: Connection, record: Record) -> int:
    """Apply one catalog event. Returns the number of its organization, or 0 if it concerns all organizations.

    An older `time` never overwrites a newer one; of equal times the higher offset wins.
    """
    event = decode(record.value or b"")
    if isinstance(event, Usage | Correction):
        raise InvalidEvent("usage belongs on usage.events.v1", "/type")
    if isinstance(event, Organization):
        await _apply_organization(connection, event, record.offset)
    organization_id = await _organization_id(connection, event.subject or "")
    if isinstance(event, Contract):
        received_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        await apply_contract(connection, organization_id, event, record.offset, received_at)
    elif isinstance(event, Rate):
        await apply_rate(connection, organization_id, SentRate(event, record))
    for statement, parameters in writes_of(event, record.offset):
        await connection.execute(SQL[statement], organization_id, *parameters)
    return organization_id


async def _apply_organization(connection: Connection, event: Organization, offset: int) -> None:
    data = event.data
    columns = (
        data.name, data.time_zone, data.billing_moderator_enabled, data.locale, data.label_keys, data.people, data.my_usage,
    )  # fmt: skip
    zone = await connection.fetchval(SQL["upsert_organization"], event.subject, *columns, event.time, offset)
    if zone is not None:
        await connection.execute(SQL["insert_zone_rules"], event.subject, zone, TZ_VERSION, list(changes_of(zone)))
    if zone not in (None, data.time_zone):
        log.warning("time zone not changed: usage was counted in it", organization=event.subject, time_zone=zone)


async def _organization_ids(connection: Connection, names: Set[str]) -> dict[str, int]:
    """Numbers of these organizations, created if needed. 0 for an event that concerns all organizations."""
    numbers = {name: ALL_ORGANIZATIONS for name in names if name == ""}
    if known := sorted(names - numbers.keys()):
        await connection.execute(SQL["ensure_organizations"], known)
        rows = await connection.fetch(SQL["select_organizations"], known)
        numbers |= {row["organization"]: row["organization_id"] for row in rows}
    return numbers


async def _organization_id(connection: Connection, name: str) -> int:
    return (await _organization_ids(connection, {name}))[name]
