"""One transaction per batch: progress, ledger, rollups, proof, outboxes. All of it or nothing.

The order of its locks stands in sql/progress.sql.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.codec import InvalidEvent
from runtime.isolation import Shared
from runtime.postgres import Connection, Pool

from aggregator.aside import headers_json, put_aside, without
from aggregator.catalog import SIGHTING_S, Catalog, Sighting
from aggregator.claims import claim, correct
from aggregator.columns import columns_of, corrects_of
from aggregator.limits import Gross, Rooms, check_batch, fit_all
from aggregator.outcome import Outcome, Overtaken
from aggregator.places import place
from aggregator.progress import advance, drop_replayed, lock_progress
from aggregator.reading import Kind, Reading, Rejection, Use, reject
from aggregator.rollup import Decision, Rollups, decide
from aggregator.statements import SQL
from aggregator.sums import check_sums, note_limited, select_rooms

STATEMENT_S = 20.0
"""How long a statement of a transaction that counts may take; a process that stands still for GIVE_UP_S ends."""
CATALOG_LOCK = 0x666C6501  # shared by batches that rate, exclusive for applying facts
NONE_FAIL: Mapping[str, str] = {}


class OnTrial(Shared):
    """Takes a batch back that was only tried."""


async def apply_batch(
    pool: Pool, topics: tuple[str, str], reading: Reading, catalog: Catalog, outcome: Outcome,
    failing: Mapping[str, str] = NONE_FAIL, *, on_trial: bool = False, statement_s: float = STATEMENT_S,
) -> Outcome:  # fmt: skip
    """Count a batch of `topics` = (usage topic, catalog topic). Safe to call again with the same batch, ever.

    What organizations in quarantine sent is put aside, and so is what the organizations `failing` sent, who come into it
    for these reasons. Raises Overtaken, OffsetGap, or whatever fails; then nothing has happened, and `outcome.step` says
    where. On trial nothing happens either, and OnTrial is raised when nothing fails.
    """
    topic, catalog_topic = topics
    outcome.step = "series"
    names = await _learn(pool, reading, catalog, failing)
    async with pool.acquire() as connection, connection.transaction():
        outcome.step = "positions"
        await hold_catalog(connection, catalog_topic, catalog, statement_s)
        positions = await lock_progress(connection, topic, reading.spans)
        fresh = drop_replayed(reading, positions, outcome)
        aside = await lock_quarantined(connection, names, catalog) if names else set()
        if aside or failing:
            fresh, records = without(fresh, aside | failing.keys())
            await put_aside(connection, topic, records, catalog, failing, outcome)
        sightings = await store(connection, topic, fresh, catalog, outcome)
        if on_trial:
            raise OnTrial
        outcome.step = "positions"
        await advance(connection, topic, reading, outcome)
    catalog.sightings.update(sightings)
    catalog.aside |= failing.keys()
    return outcome


async def _learn(pool: Pool, reading: Reading, catalog: Catalog, failing: Mapping[str, str]) -> Collection[str]:
    """Give what the batch has new its numbers; returns the names of its organizations."""
    keys = {use.series for use in reading.uses}
    keys.update(use.series for use in reading.corrections)
    names = {key[0] for key in keys}
    names.update(failure.organization for failure in reading.failures)
    aside = (catalog.aside & names) | failing.keys()
    await catalog.learn_organizations(pool, aside)
    await catalog.learn(pool, {key for key in keys if key[0] not in aside} if aside else keys)
    return names


async def lock_quarantined(connection: Connection, names: Collection[str], catalog: Catalog) -> set[str]:
    """Which of these organizations are in quarantine, and stay so until the transaction ends. Raises Overtaken when
    `catalog` still believes of one that it is."""
    rows = await connection.fetch(SQL["lock_quarantined"], sorted(names))
    aside = {row["organization"] for row in rows}
    released = (catalog.aside & set(names)) - aside
    catalog.aside |= aside
    if released:
        catalog.aside -= released
        raise Overtaken
    return aside


async def store(
    connection: Connection, topic: str, fresh: Reading, catalog: Catalog, outcome: Outcome
) -> dict[tuple[int, str, str], Sighting]:
    """Everything of a batch but where it stood in the log; returns what is new about agents once it is committed."""
    outcome.rejections += fresh.rejections
    outcome.step = "places"
    fresh = await place(connection, fresh, catalog)
    rooms = await _select_rooms(connection, fresh, catalog) if catalog.limited else {}
    outcome.step = "rating"
    await claim(connection, fit_all(_decide(fresh.uses, catalog, outcome), rooms), outcome)
    await correct(connection, fresh.corrections, catalog, rooms, outcome)
    outcome.step = "held"
    await _insert_held(connection, outcome.held)
    if rooms:
        await note_limited(connection, outcome.held)
    outcome.step = "rollups"
    await add_checked_rollups(connection, outcome.rollups, rooms, catalog.gross)
    outcome.step = "agents"
    sightings = _new_sightings([*outcome.counted, *outcome.held], catalog.sightings)
    await _write_sightings(connection, sightings)
    outcome.step = "dead letters"
    await insert_dead_letters(connection, topic, outcome.rejections)
    outcome.step = "totals"
    await connection.execute(SQL["insert_totals"], sorted({key[0] for key in outcome.rollups.organization_days}))
    return sightings


async def hold_catalog(
    connection: Connection, catalog_topic: str, catalog: Catalog, statement_s: float = STATEMENT_S
) -> None:
    """Keep the catalog still until the transaction ends, whose statements may take so long. Raises Overtaken when it is not
    the catalog we decided with."""
    await connection.execute(SQL["lock_catalog_shared"], CATALOG_LOCK, f"{statement_s:g}s")
    [row] = await connection.fetch(SQL["select_catalog_version"], catalog_topic)
    if row["next_offset"] not in (None, catalog.version) or row["changes"] != catalog.changes:
        raise Overtaken


def _decide(uses: Iterable[Use], catalog: Catalog, outcome: Outcome) -> list[Decision]:
    decisions = []
    for use in uses:
        try:
            decisions.append(decide(use, catalog.organizations, catalog.series_ids, catalog.card))
        except InvalidEvent as error:
            outcome.rejections.append(reject(use, Kind.RATE, error.detail, error.pointer))
    return decisions


async def _select_rooms(connection: Connection, fresh: Reading, catalog: Catalog) -> Rooms:
    names = {use.series[0] for use in (*fresh.uses, *fresh.corrections)}
    return await select_rooms(connection, catalog.limited & {catalog.organizations[at].organization_id for at in names})


async def add_checked_rollups(
    connection: Connection, rollups: Rollups, rooms: Rooms, known: dict[int, Gross] | None = None
) -> None:
    """Add sums to the rollup tables. Raises SumLimit when they get beyond what they can keep for an organization that has
    no room reserved. `known` is what large sums came to lately."""
    check_batch(rollups, rooms)
    large = await add_rollups(connection, rollups)
    if large:
        await check_sums(connection, large, rollups, rooms, {} if known is None else known)


async def add_rollups(connection: Connection, rollups: Rollups) -> list[int]:
    """Add sums to the rollup tables; add_days adds to the months too. Returns organizations with large sums."""
    large: list[int] = []
    for statement, cells in (
        ("add_quarters", rollups.quarters),
        ("add_days", rollups.days),
        ("add_organization_days", rollups.organization_days),
        ("add_corrections", rollups.corrections),
        ("add_late", rollups.late),
    ):
        if cells:
            rows = await connection.fetch(SQL[statement], *columns_of((*key, *cell) for key, cell in cells.items()))
            large += [row["organization_id"] for row in rows]
    return large


async def insert_dead_letters(connection: Connection, topic: str, rejections: Sequence[Rejection]) -> None:
    """Keep what could not be counted, byte for byte, with the reason."""
    if rejections:
        rows = [
            (
                at.record.partition, at.record.offset, at.record.key, at.record.value, headers_json(at.record),
                as_text(at.reason), as_text(at.pointer),
                at.record.timestamp / 1000, *((at.who[0], UUID(at.who[1])) if at.who else (None, None)),
            )
            for at in rejections
        ]  # fmt: skip
        await connection.execute(SQL["insert_dead_letters"], topic, *columns_of(rows))


def as_text(said: str) -> str:
    """What Postgres can keep of a text that may quote a stranger."""
    return said.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


async def _insert_held(connection: Connection, held: Sequence[Decision]) -> None:
    if held:
        rows = [
            (
                use.ledger_bucket, UUID(use.identity), decision.organization_id, decision.series_id, use.occurred, use.credits,
                use.quantity, use.unit, use.partition, use.offset, decision.waits_for, *corrects_of(use),
                use.record.value if use.corrects else None, use.received,
            )
            for decision in held
            for use in (decision.use,)
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
        name = use.agent.name or ""
        named = use.occurred if name else None
        if before is None:
            latest[key] = Sighting(use.occurred, name, named)
            continue
        # Usage without a name says nothing about it: what is optional never erases.
        is_renamed = bool(name) and name != before.name and (use.occurred, name) > (before.named or 0.0, before.name)
        if is_renamed or use.occurred >= before.seen + SIGHTING_S:
            seen = max(use.occurred, before.seen)
            latest[key] = Sighting(seen, name, named) if is_renamed else before._replace(seen=seen)
    return latest


async def _write_sightings(connection: Connection, sightings: Mapping[tuple[int, str, str], Sighting]) -> None:
    kinds: dict[tuple[int, str], tuple[float, str]] = {}
    names: dict[tuple[int, str], tuple[float, str]] = {}
    saved = {(organization_id, agent_id) for organization_id, agent_id, kind in sightings if kind == "saved"}
    for (organization_id, agent_id, kind), at in sightings.items():
        agent = (organization_id, agent_id)
        kinds[agent] = max(kinds.get(agent, (at.seen, kind)), (at.seen, kind))
        if at.named is not None:
            names[agent] = max(names.get(agent, (at.named, at.name)), (at.named, at.name))
    if kinds:
        rows = []
        for agent, (seen, kind) in sorted(kinds.items()):
            named, name = names.get(agent, (None, ""))
            rows.append((*agent, kind, name, agent in saved, seen, named))
        await connection.execute(SQL["upsert_agent_sightings"], *columns_of(rows))
