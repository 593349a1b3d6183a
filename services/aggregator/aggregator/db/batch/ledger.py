"""The ledger: claims each identity once, classifies copies as duplicates or conflicts, and applies corrections to their
originals."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg
from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.identity import FIRST_WINS_HEADER
from runtime.postgres.pool import Connection

from aggregator.db.attributions import select_parts
from aggregator.db.catalog_cache import Catalog, StaleCatalog
from aggregator.db.series import Key, select_series_parts
from aggregator.db.statements import SQL
from aggregator.db.unnest import by_bucket, columns_of, corrects_of, or_null
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.corrections import Original, follow_original, validate_correction
from aggregator.domain.counting.copies import Content, content_of, differs_in_names
from aggregator.domain.decode import Kind, UsageRecord, reason_of, reject
from aggregator.domain.limits.series_key import SeriesKey
from aggregator.domain.people.attribution import Attribution, Run
from aggregator.domain.rating import quantities_text, read_quantities
from aggregator.domain.rollup import Decision, Rollups, decide, fold, fold_runs
from aggregator.domain.sum_limit import Rooms, fit

FOLD_AT_ONCE = 300
Parts = dict[int, tuple[str, ...]]


async def claim(connection: Connection, decisions: Sequence[Decision], result: BatchResult) -> None:
    """Insert ledger rows. A use whose row exists already is a duplicate, or a conflict if its content differs."""
    if not decisions:
        return
    counting = [decision for decision in decisions if not decision.waits_for]
    result.step = "ledger"
    inserting = asyncio.create_task(connection.fetch(SQL["insert_ledger"], *_ledger_columns(decisions)))
    try:
        await _fold_meanwhile(counting, result.rollups)
    except Exception:
        await asyncio.wait([inserting])  # a connection runs one statement at a time
        inserting.exception()
        result.step = "folding"
        raise
    except BaseException:
        inserting.cancel()
        raise
    claimed = await inserting
    inserted = {(row["kafka_partition"], row["kafka_offset"]) for row in claimed}
    new: list[Decision] = list(decisions)
    if len(inserted) < len(decisions):
        known: list[Decision] = []
        new.clear()
        for decision in decisions:
            (new if (decision.use.partition, decision.use.offset) in inserted else known).append(decision)
        fold((decision for decision in known if not decision.waits_for), result.rollups, -1)
        firsts = await select_contents(connection, [_key(decision.use) for decision in known])
        # Not from the ledger: a held row is complete only with its row of usage_held, which is inserted later.
        firsts |= {_key(at.use): content_of(at.use, at.series_id, at.attribution_id) for at in new}
        contents = [content_of(at.use, at.series_id, at.attribution_id) for at in known]
        copies = [
            Copy(firsts[_key(at.use)], content, at.use.series, at.use.attribution)
            for at, content in zip(known, contents, strict=True)
        ]
        for decision, is_same in zip(known, await are_same(connection, copies), strict=True):
            if is_same:
                result.duplicates.append(decision.use)
            else:
                record_unequal_copy(decision.use, result)
    for decision in new:
        (result.held if decision.waits_for else result.counted).append(decision)
    fold_runs((decision for decision in new if not decision.waits_for), result.runs)


async def _fold_meanwhile(decisions: Sequence[Decision], rollups: Rollups) -> None:
    """Add the sums of all decisions while Postgres works, as if all were new. The caller subtracts the few that are
    not.

    Works in steps of about a millisecond, so that the event loop can send the data of the statement.
    """
    for start in range(0, len(decisions), FOLD_AT_ONCE):
        await asyncio.sleep(0)
        fold(decisions[start : start + FOLD_AT_ONCE], rollups)


def _key(use: UsageRecord) -> tuple[int, bytes]:
    return use.ledger_bucket, use.identity


class Copy(NamedTuple):
    """An event whose identity was used before, and the first event with it."""

    first: Content
    content: Content
    series: Key
    """Of the copy, and so is `attribution`."""
    attribution: Attribution | None


async def are_same(connection: Connection, copies: Sequence[Copy]) -> list[bool]:
    """Whether each copy has the content of the first event.

    Beyond the limits of series and attributions, the first event may be recorded under those that stand for its own.
    """
    firsts = [at.first for at in copies if at.first != at.content and differs_in_names(at.first, at.content)]
    series_parts, parts = Parts(), Parts()
    if firsts:
        series_parts = await select_series_parts(connection, {first.series_id for first in firsts})
        parts = await select_parts(connection, {at.attribution_id for at in firsts if at.attribution_id is not None})
    return [_is_same(at, series_parts, parts) for at in copies]


def _is_same(copy: Copy, series_parts: Parts, parts: Parts) -> bool:
    """As are_same, with the dimensions of the series of first events, and the parts of their attributions."""
    first = copy.first
    if first == copy.content:
        return True
    recorded = series_parts.get(first.series_id, ())
    if not differs_in_names(first, copy.content) or not SeriesKey._make(copy.series).counts_as(recorded):
        return False
    if first.attribution_id is None or copy.attribution is None:
        return first.attribution_id == copy.content.attribution_id
    return copy.attribution.counts_as(parts.get(first.attribution_id, ()))


def record_unequal_copy(use: UsageRecord, result: BatchResult) -> None:
    """Record a use whose identity was used before with another content: a conflict, unless its header says that the
    first event wins."""
    if FIRST_WINS_HEADER in use.record.headers:
        result.duplicates.append(use)
        return
    detail = "the same source and id was used before with another payload"
    result.rejections.append(reject(use, Kind.CONFLICT, detail, "/id"))


async def select_contents(
    connection: Connection, keys: Iterable[tuple[int, bytes]]
) -> dict[tuple[int, bytes], Content]:
    """The contents of the events with these ledger keys, as the ledger has them."""
    return {
        (bucket, row["identity"].bytes): content_in(row)
        for bucket, identities in by_bucket(keys)
        for row in await connection.fetch(SQL["select_ledger"], bucket, identities)
    }


def content_in(row: asyncpg.Record) -> Content:
    corrects, run = row["corrects"], row["run"]
    is_correction = corrects is not None
    return Content(
        row["series_id"], row["occurred_ms"], row["credits"], row["quantity"], row["unit"],
        corrects.bytes if is_correction else None, None if is_correction else row["attribution_id"],
        None if is_correction or run is None else run.bytes, read_quantities(row["quantities"]),
    )  # fmt: skip


async def select_originals(
    connection: Connection, keys: Iterable[tuple[int, bytes]]
) -> dict[tuple[int, bytes], Original]:
    """Lock the usage that corrections refer to, in key order."""
    return {
        (bucket, row["identity"].bytes): Original(
            series_id=row["series_id"],
            credits=row["credits"],
            corrected=row["corrected"],
            held=row["held"],
            is_correction=row["is_correction"],
            attribution_id=row["attribution_id"],
            run=None if row["run"] is None else Run(row["run"].bytes, "", ""),
        )
        for bucket, identities in by_bucket(keys)
        for row in await connection.fetch(SQL["lock_originals"], bucket, identities)
    }


async def correct(
    connection: Connection, corrections: Sequence[UsageRecord], catalog: Catalog, rooms: Rooms, result: BatchResult
) -> None:
    """Count corrections in Kafka order, after the usage of the same batch."""
    if not corrections:
        return
    result.step = "corrections"
    originals = await select_originals(connection, (use.corrects for use in corrections if use.corrects))
    contents = await select_contents(connection, map(_key, corrections))
    decisions = [decide_in(catalog, use) for use in sorted(corrections, key=lambda use: (use.partition, use.offset))]
    # One statement for all: corrections may be sent again in any number.
    firsts: list[Content | Original | Decision] = [*contents.values(), *originals.values(), *decisions]
    parts = await select_series_parts(connection, {at.series_id for at in firsts})
    accepted: list[Decision] = []
    for decided in decisions:
        use, key = decided.use, _key(decided.use)
        content = content_of(use, decided.series_id, None)
        if key in contents:
            if _is_same(Copy(contents[key], content, use.series, None), parts, {}):
                result.duplicates.append(use)
            else:
                record_unequal_copy(use, result)
            continue
        assert use.corrects is not None
        original = originals.get(use.corrects)
        decision = follow_original(decided, original, parts)
        try:
            waits_for = validate_correction(decision, original)
        except ValueError as error:
            result.rejections.append(reject(use, Kind.CORRECTION, str(error), "/data/corrects"))
            continue
        contents[key] = content_of(use, decision.series_id, None)
        decision = fit(decision._replace(waits_for=waits_for, credits=0 if waits_for else decision.credits), rooms)
        if original is not None and not decision.waits_for:
            originals[use.corrects] = original._replace(corrected=original.corrected + decision.credits)
        accepted.append(decision)
    taken = len(result.duplicates) + len(result.rejections)
    await claim(connection, accepted, result)
    if len(result.duplicates) + len(result.rejections) > taken:
        raise StaleCatalog
    await add_corrected(connection, [decision for decision in accepted if not decision.waits_for])
    await _write_reasons(connection, accepted)


async def select_other_parts(
    connection: Connection, corrections: Iterable[Decision], originals: Mapping[tuple[int, bytes], Original]
) -> dict[int, tuple[str, ...]]:
    """The dimensions of the series of originals that are recorded under another series than their corrections."""
    numbers = {
        original.series_id
        for at in corrections
        if at.use.corrects and (original := originals.get(at.use.corrects)) and original.series_id != at.series_id
    }
    return await select_series_parts(connection, numbers) if numbers else {}


def decide_in(catalog: Catalog, use: UsageRecord) -> Decision:
    """decide() with a catalog that has learned the use.

    Raises StaleCatalog when the catalog has dropped what it learned: it is bounded, and other tasks learn too.
    """
    try:
        return decide(
            use, catalog.organizations, catalog.series_ids, catalog.card, catalog.attribution_ids, catalog.folded_series
        )
    except KeyError as error:
        raise StaleCatalog from error


async def _write_reasons(connection: Connection, corrections: Sequence[Decision]) -> None:
    if corrections:
        rows = [
            (at.use.ledger_bucket, UUID(at.use.identity), at.organization_id, reason_of(at.use.record))
            for at in corrections
        ]
        await connection.execute(SQL["insert_reasons"], *columns_of(rows))


async def add_corrected(connection: Connection, counted: Sequence[Decision]) -> None:
    """Add the credits of these corrections to the rows of their originals."""
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


def _ledger_columns(decisions: Sequence[Decision]) -> list[Sequence[Any] | None]:
    """The columns of the ledger rows. zip transposes in C: this is the widest table, and every event passes here."""
    decided: Any = Decision._make(zip(*decisions, strict=True))  # each field holds its column
    used: Any = UsageRecord._make(zip(*decided.use, strict=True))
    corrects_buckets, corrects = zip(*map(corrects_of, decided.use), strict=True) if any(used.corrects) else ((), ())
    credits = [None if held else amount for amount, held in zip(decided.credits, decided.waits_for, strict=True)]
    return [
        used.ledger_bucket, [*map(UUID, used.identity)], decided.organization_id,
        decided.series_id, used.occurred, credits, used.received, used.partition, used.offset,
        *map(or_null, (decided.rate_id, used.quantity, corrects_buckets, corrects, decided.attribution_id)),
        [run and UUID(run.identity) for run in decided.run] if any(decided.run) else None,
        [*map(quantities_text, used.quantities, decided.unit_rates)] if any(used.quantities) else None,
    ]  # fmt: skip
