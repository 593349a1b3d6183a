"""One transaction per batch: progress, ledger, rollups, proof, outboxes. All of it or nothing."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.codec import InvalidEvent
from runtime.postgres import Connection, Pool

from aggregator.catalog import SIGHTING_S, SQL, Catalog, Sighting
from aggregator.corrections import Original, judge
from aggregator.reading import Kind, Reading, Rejection, Use, reason_of, reject
from aggregator.rollup import Decision, Rollups, decide, empty_rollups, fold

FOLD_AT_ONCE = 300
HOUR_S = 3600
CATALOG_LOCK = 0x666C6501  # shared by batches that rate, exclusive for applying facts


class Overtaken(Exception):
    """Another aggregator applied facts, or claimed a correction, after this batch was decided; decide it again."""


class OffsetGap(Exception):
    """Records between Postgres' position and the log are missing: counting on would lose them silently."""


@dataclass
class Outcome:
    """What became of a batch's records."""

    next_offsets: dict[int, int] = field(default_factory=dict)
    counted: list[Decision] = field(default_factory=list)
    held: list[Decision] = field(default_factory=list)
    duplicates: list[Use] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    rollups: Rollups = field(default_factory=empty_rollups)
    replayed: int = 0


async def load_progress(pool: Pool, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """next_offset of each partition, with rows made for new ones."""
    partitions = sorted(partitions)
    await pool.execute(SQL["create_progress"], topic, partitions)
    rows = await pool.fetch(SQL["select_progress"], topic)
    return {row["partition"]: row["next_offset"] for row in rows if row["partition"] in partitions}


async def load_received(pool: Pool, topic: str) -> dict[int, int]:
    """For each partition of which something was counted: the latest append time of that, or a later one at which it was
    complete, in milliseconds."""
    return {row["partition"]: row["received_ms"] for row in await pool.fetch(SQL["select_received"], topic)}


async def apply_batch(pool: Pool, topics: tuple[str, str], reading: Reading, catalog: Catalog) -> Outcome:
    """Count a batch of `topics` = (usage topic, catalog topic). Safe to call again with the same batch, ever.

    Raises Overtaken, OffsetGap, or whatever Postgres says; then nothing has happened.
    """
    topic, catalog_topic = topics
    uses = [*reading.uses, *reading.corrections]
    await catalog.learn(pool, {use.series for use in uses})
    async with pool.acquire() as connection, connection.transaction():
        await hold_catalog(connection, catalog_topic, catalog)
        outcome = Outcome(rejections=[*reading.rejections])
        positions = await _lock_progress(connection, topic, reading.spans)
        fresh = _drop_replayed(reading, positions, outcome)
        await _claim(connection, _decide(fresh.uses, catalog, outcome), outcome)
        await _correct(connection, fresh.corrections, catalog, outcome)
        await _insert_held(connection, outcome.held)
        await add_rollups(connection, outcome.rollups)
        sightings = _new_sightings([*outcome.counted, *outcome.held], catalog.sightings)
        await _write_sightings(connection, sightings)
        await insert_dead_letters(connection, topic, outcome.rejections)
        await connection.execute(SQL["insert_totals"], sorted({key[0] for key in outcome.rollups.organization_days}))
        await _advance(connection, topic, reading, outcome)
    catalog.sightings.update(sightings)
    return outcome


async def hold_catalog(connection: Connection, catalog_topic: str, catalog: Catalog) -> None:
    """Keep the catalog still until the transaction ends. Raises Overtaken when it is not the one we decided with."""
    await connection.execute(SQL["lock_catalog_shared"], CATALOG_LOCK)
    [row] = await connection.fetch(SQL["select_catalog_version"], catalog_topic)
    if row["next_offset"] not in (None, catalog.version) or row["zone_change"] != catalog.zone_change:
        raise Overtaken


async def _lock_progress(connection: Connection, topic: str, spans: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    rows = await connection.fetch(SQL["lock_progress"], topic, sorted(spans))
    positions = {row["partition"]: row["next_offset"] for row in rows}
    for partition, (first, _) in spans.items():
        if first > positions[partition]:
            raise OffsetGap(
                f"{topic}/{partition}: Postgres expects offset {positions[partition]}, Kafka delivers {first}."
                " Retention took unread records, or the topic was made anew"
            )
    return positions


def _drop_replayed(reading: Reading, positions: Mapping[int, int], outcome: Outcome) -> Reading:
    """What is left of the batch after another process, or we before a crash, applied part of it."""
    for partition, (_, last) in reading.spans.items():
        outcome.next_offsets[partition] = max(last + 1, positions[partition])
    if all(positions[partition] <= first for partition, (first, _) in reading.spans.items()):
        return reading
    kept = reading._replace(
        uses=[use for use in reading.uses if use.offset >= positions[use.partition]],
        corrections=[use for use in reading.corrections if use.offset >= positions[use.partition]],
        rejections=[at for at in reading.rejections if at.record.offset >= positions[at.record.partition]],
    )
    before, after = ([*part.uses, *part.corrections, *part.rejections] for part in (reading, kept))
    outcome.rejections, outcome.replayed = kept.rejections, len(before) - len(after)
    return kept


def _decide(uses: Iterable[Use], catalog: Catalog, outcome: Outcome) -> list[Decision]:
    decisions = []
    for use in uses:
        try:
            decisions.append(decide(use, catalog.organizations, catalog.series_ids, catalog.card))
        except InvalidEvent as error:
            outcome.rejections.append(reject(use, Kind.RATE, error.detail, error.pointer))
    return decisions


async def _claim(connection: Connection, decisions: Sequence[Decision], outcome: Outcome) -> None:
    """Insert ledger rows; what was there before is a duplicate, or a conflict if its payload differs."""
    if not decisions:
        return
    counting = [decision for decision in decisions if not decision.waits_for]
    claimed, _ = await asyncio.gather(
        connection.fetch(SQL["insert_ledger"], *_ledger_columns(decisions)), _fold_meanwhile(counting, outcome.rollups)
    )
    inserted = {(row[0], row[1]) for row in claimed}
    new: list[Decision] = list(decisions)
    if len(inserted) < len(decisions):
        known: list[Decision] = []
        new.clear()
        for decision in decisions:
            (new if (decision.use.partition, decision.use.offset) in inserted else known).append(decision)
        fold((decision for decision in known if not decision.waits_for), outcome.rollups, -1)
        payloads = await _select_payloads(connection, [decision.use for decision in known])
        for decision in known:
            _sort_out_copy(decision.use, payloads[decision.use.ledger_bucket, decision.use.identity], outcome)
    for decision in new:
        (outcome.held if decision.waits_for else outcome.counted).append(decision)


async def _fold_meanwhile(decisions: Sequence[Decision], rollups: Rollups) -> None:
    """Sum up as if all were new while Postgres works; the few that are not are taken back.

    In steps of about a millisecond, so that the statement's bytes keep flowing.
    """
    for start in range(0, len(decisions), FOLD_AT_ONCE):
        await asyncio.sleep(0)
        fold(decisions[start : start + FOLD_AT_ONCE], rollups)


def _sort_out_copy(use: Use, first_payload: bytes, outcome: Outcome) -> None:
    if first_payload == use.payload:
        outcome.duplicates.append(use)
    else:
        detail = "the same source and id was used before with another payload"
        outcome.rejections.append(reject(use, Kind.CONFLICT, detail, "/id"))


async def _select_payloads(connection: Connection, uses: Sequence[Use]) -> dict[tuple[int, bytes], bytes]:
    return {
        (bucket, row["identity"].bytes): row["payload"].bytes
        for bucket, identities in _by_bucket((use.ledger_bucket, use.identity) for use in uses)
        for row in await connection.fetch(SQL["select_ledger"], bucket, identities)
    }


async def select_originals(
    connection: Connection, keys: Iterable[tuple[int, bytes]]
) -> dict[tuple[int, bytes], Original]:
    """Lock the usage that corrections name, in key order."""
    return {
        (bucket, row["identity"].bytes): Original(*row[1:])
        for bucket, identities in _by_bucket(keys)
        for row in await connection.fetch(SQL["lock_originals"], bucket, identities)
    }


async def _correct(connection: Connection, corrections: Sequence[Use], catalog: Catalog, outcome: Outcome) -> None:
    """Count corrections after the usage of the same batch, in Kafka order."""
    if not corrections:
        return
    originals = await select_originals(connection, (use.corrects for use in corrections if use.corrects))
    payloads = await _select_payloads(connection, corrections)
    accepted: list[Decision] = []
    for use in sorted(corrections, key=lambda use: (use.partition, use.offset)):
        key = (use.ledger_bucket, use.identity)
        if key in payloads:
            _sort_out_copy(use, payloads[key], outcome)
            continue
        assert use.corrects is not None
        decision = decide(use, catalog.organizations, catalog.series_ids, catalog.card)
        original = originals.get(use.corrects)
        try:
            waits_for = judge(decision, original)
        except ValueError as error:
            outcome.rejections.append(reject(use, Kind.CORRECTION, str(error), "/data/corrects"))
            continue
        payloads[key] = use.payload
        decision = decision._replace(waits_for=waits_for, credits=0 if waits_for else decision.credits)
        if original is not None and not waits_for:
            originals[use.corrects] = original._replace(corrected=original.corrected + decision.credits)
        accepted.append(decision)
    taken = len(outcome.duplicates) + len(outcome.rejections)
    await _claim(connection, accepted, outcome)
    if len(outcome.duplicates) + len(outcome.rejections) > taken:
        raise Overtaken
    await add_corrected(connection, [decision for decision in accepted if not decision.waits_for])
    await _write_reasons(connection, accepted)


async def _write_reasons(connection: Connection, corrections: Sequence[Decision]) -> None:
    if corrections:
        rows = [
            (at.use.ledger_bucket, UUID(at.use.identity), at.organization_id, reason_of(at.use.record))
            for at in corrections
        ]
        await connection.execute(SQL["insert_reasons"], *_columns(rows))


async def add_corrected(connection: Connection, counted: Sequence[Decision]) -> None:
    """Remember on the originals what these corrections add."""
    by_bucket: dict[int, list[tuple[bytes, int]]] = defaultdict(list)
    for decision in counted:
        assert decision.use.corrects is not None
        by_bucket[decision.use.corrects[0]].append((decision.use.corrects[1], decision.credits))
    for bucket, amounts in sorted(by_bucket.items()):
        await connection.execute(
            SQL["add_corrected"],
            bucket,
            [UUID(identity) for identity, _ in amounts],
            [credits for _, credits in amounts],
        )


async def add_rollups(connection: Connection, rollups: Rollups) -> None:
    """Add sums to the rollup tables; add_days adds to the months too."""
    for statement, cells in (
        ("add_quarters", rollups.quarters),
        ("add_days", rollups.days),
        ("add_organization_days", rollups.organization_days),
        ("add_corrections", rollups.corrections),
        ("add_late", rollups.late),
    ):
        if cells:
            await connection.execute(SQL[statement], *_columns((*key, *cell) for key, cell in cells.items()))


async def insert_dead_letters(connection: Connection, topic: str, rejections: Sequence[Rejection]) -> None:
    """Keep what could not be counted, byte for byte, with the reason."""
    if rejections:
        rows = [
            (
                at.record.partition, at.record.offset, at.record.key, at.record.value,
                json.dumps([[name, value.hex() if value is not None else None] for name, value in at.record.headers]),
                at.reason, at.pointer, at.record.timestamp / 1000, *((at.who[0], UUID(at.who[1])) if at.who else (None, None)),
            )
            for at in rejections
        ]  # fmt: skip
        await connection.execute(SQL["insert_dead_letters"], topic, *_columns(rows))


async def _insert_held(connection: Connection, held: Sequence[Decision]) -> None:
    if held:
        rows = [
            (
                use.ledger_bucket, UUID(use.identity), organization_id, series_id, use.occurred, use.credits, use.quantity,
                use.unit, use.partition, use.offset, waits_for, *_corrects(use), use.record.value if use.corrects else None,
                use.received,
            )
            for use, organization_id, series_id, _, _, _, waits_for in held
        ]  # fmt: skip
        await connection.execute(SQL["insert_held"], *_columns(rows))


def _new_sightings(
    decisions: Iterable[Decision], known: Mapping[tuple[int, str, str], Sighting]
) -> dict[tuple[int, str, str], Sighting]:
    """What this batch's usage calls its agents, per kind, where that is newer and worth a write."""
    latest: dict[tuple[int, str, str], Sighting] = {}
    for decision in decisions:
        use = decision.use
        if use.agent is None or use.corrects is not None:
            continue
        key = (decision.organization_id, use.agent.id, use.agent.kind)
        before = latest.get(key) or known.get(key)
        sighting = Sighting(use.occurred, use.agent.name or "")
        if before is None or (
            sighting > before and (sighting.name != before.name or sighting.seen >= before.seen + SIGHTING_S)
        ):
            latest[key] = sighting
    return latest


async def _write_sightings(connection: Connection, sightings: Mapping[tuple[int, str, str], Sighting]) -> None:
    agents: dict[tuple[int, str], tuple[float, str, str]] = {}
    saved = {(organization_id, agent_id) for organization_id, agent_id, kind in sightings if kind == "saved"}
    for (organization_id, agent_id, kind), at in sightings.items():
        agent = (organization_id, agent_id)
        agents[agent] = max(agents.get(agent, (at.seen, kind, at.name)), (at.seen, kind, at.name))
    if agents:
        rows = [(*agent, kind, name, agent in saved, seen) for agent, (seen, kind, name) in sorted(agents.items())]
        await connection.execute(SQL["upsert_agent_sightings"], *_columns(rows))


async def _advance(connection: Connection, topic: str, reading: Reading, outcome: Outcome) -> None:
    """Move the positions, and write down every record's fate, in all and by the hour of its receipt."""
    fates = [
        Counter((use.partition, use.received // HOUR_S) for use in group)
        for group in (
            [decision.use for decision in outcome.counted],
            outcome.duplicates,
            [decision.use for decision in outcome.held],
        )
    ]
    fates.insert(2, Counter((at.record.partition, at.record.timestamp / 1000 // HOUR_S) for at in outcome.rejections))
    hours = sorted(set().union(*fates))
    if hours:
        rows = [(*hour, *(fate[hour] for fate in fates)) for hour in hours]
        await connection.execute(SQL["add_hours"], topic, *zip(*rows, strict=True))
    totals: dict[int, list[int]] = {partition: [0, 0, 0, 0] for partition in outcome.next_offsets}
    for hour in hours:
        for place, fate in enumerate(fates):
            totals[hour[0]][place] += fate[hour]
    progress = [
        (at, next_offset, *totals[at], reading.last_received[at])
        for at, next_offset in sorted(outcome.next_offsets.items())
    ]
    await connection.execute(SQL["advance_progress"], topic, *_columns(progress))


def _ledger_columns(decisions: Sequence[Decision]) -> list[Sequence[Any] | None]:
    """Column by column, which zip makes in C: this is the widest table, and every event passes here."""
    uses, organizations, series, _, credits, rates, waits = zip(*decisions, strict=True)
    buckets, identities, partitions, offsets, payloads, _, occurred, received, _, quantities, *_ = zip(
        *uses, strict=True
    )
    corrects_buckets, corrects = (
        zip(*map(_corrects, uses), strict=True) if any(use.corrects for use in uses) else ((), ())
    )
    held_or_credits = [None if waits_for else amount for amount, waits_for in zip(credits, waits, strict=True)]
    return [
        buckets, [*map(UUID, identities)], [*map(UUID, payloads)], organizations, series, occurred, held_or_credits,
        received, partitions, offsets, *map(_or_null, (rates, quantities, corrects_buckets, corrects)),
    ]  # fmt: skip


def _corrects(use: Use) -> tuple[int | None, UUID | None]:
    return (use.corrects[0], UUID(use.corrects[1])) if use.corrects else (None, None)


def _columns(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...] | None]:
    """Rows to the columns that unnest takes; it fills a column that is null itself with nulls."""
    return [_or_null(column) for column in zip(*rows, strict=True)]


def _or_null(column: tuple[Any, ...]) -> tuple[Any, ...] | None:
    return column if any(value is not None for value in column) else None


def _by_bucket(keys: Iterable[tuple[int, bytes]]) -> Iterable[tuple[int, list[UUID]]]:
    """Ledger keys grouped by ledger partition, sorted: one statement each, so Postgres plans a single partition."""
    for bucket, group in groupby(sorted(set(keys)), key=lambda key: key[0]):
        yield bucket, [UUID(identity) for _, identity in group]


async def mark_caught_up(pool: Pool, topic: str, end_offsets: Mapping[int, int], seen: datetime) -> None:
    """Totals are complete to `seen` in each partition whose log ended then where Postgres stands."""
    await pool.execute(
        SQL["mark_caught_up"], topic, list(end_offsets), list(end_offsets.values()), seen.astimezone(UTC).timestamp()
    )
