"""One transaction per batch: progress, ledger, rollups, proof, outboxes. All of it or nothing."""

import json
from collections.abc import Iterable, Mapping, Sequence

from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.codec import InvalidEvent
from runtime.postgres import Connection, Pool

from aggregator.catalog import SIGHTING_S, SQL, Catalog, Sighting
from aggregator.claims import claim, correct
from aggregator.columns import columns_of, corrects_of
from aggregator.outcome import Outcome, Overtaken
from aggregator.places import place
from aggregator.progress import advance, drop_replayed, lock_progress
from aggregator.reading import Kind, Reading, Rejection, Use, reject
from aggregator.rollup import Decision, Rollups, decide

CATALOG_LOCK = 0x666C6501  # shared by batches that rate, exclusive for applying facts


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
        positions = await lock_progress(connection, topic, reading.spans)
        fresh = await place(connection, drop_replayed(reading, positions, outcome), catalog)
        await claim(connection, _decide(fresh.uses, catalog, outcome), outcome)
        await correct(connection, fresh.corrections, catalog, outcome)
        await _insert_held(connection, outcome.held)
        await add_rollups(connection, outcome.rollups)
        sightings = _new_sightings([*outcome.counted, *outcome.held], catalog.sightings)
        await _write_sightings(connection, sightings)
        await insert_dead_letters(connection, topic, outcome.rejections)
        await connection.execute(SQL["insert_totals"], sorted({key[0] for key in outcome.rollups.organization_days}))
        await advance(connection, topic, reading, outcome)
    catalog.sightings.update(sightings)
    return outcome


async def hold_catalog(connection: Connection, catalog_topic: str, catalog: Catalog) -> None:
    """Keep the catalog still until the transaction ends. Raises Overtaken when it is not the one we decided with."""
    await connection.execute(SQL["lock_catalog_shared"], CATALOG_LOCK)
    [row] = await connection.fetch(SQL["select_catalog_version"], catalog_topic)
    if row["next_offset"] not in (None, catalog.version) or row["zone_change"] != catalog.zone_change:
        raise Overtaken


def _decide(uses: Iterable[Use], catalog: Catalog, outcome: Outcome) -> list[Decision]:
    decisions = []
    for use in uses:
        try:
            decisions.append(decide(use, catalog.organizations, catalog.series_ids, catalog.card))
        except InvalidEvent as error:
            outcome.rejections.append(reject(use, Kind.RATE, error.detail, error.pointer))
    return decisions


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
            await connection.execute(SQL[statement], *columns_of((*key, *cell) for key, cell in cells.items()))


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
        await connection.execute(SQL["insert_dead_letters"], topic, *columns_of(rows))


async def _insert_held(connection: Connection, held: Sequence[Decision]) -> None:
    if held:
        rows = [
            (
                use.ledger_bucket, UUID(use.identity), organization_id, series_id, use.occurred, use.credits, use.quantity,
                use.unit, use.partition, use.offset, waits_for, *corrects_of(use), use.record.value if use.corrects else None,
                use.received,
            )
            for use, organization_id, series_id, _, _, _, waits_for in held
        ]  # fmt: skip
        await connection.execute(SQL["insert_held"], *columns_of(rows))


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
        await connection.execute(SQL["upsert_agent_sightings"], *columns_of(rows))
