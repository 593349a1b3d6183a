"""One transaction per batch writes progress, ledger, rollups, proof and outboxes, or none of them.

sql/progress.sql gives the order of its locks.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.codec import InvalidEvent
from runtime.isolation import Shared
from runtime.postgres.pool import Connection, Pool

from aggregator.db.attributions import find_new_attributions, learn_attributions
from aggregator.db.batch.columns import (
    count_columns,
    find_new_series,
    leave_unusual,
    remember,
)
from aggregator.db.batch.ledger import claim, correct, decide_in
from aggregator.db.batch.ledger_partitions import place
from aggregator.db.batch.sightings import agents_of, find_new_sightings, write_sightings
from aggregator.db.batch.unrated import Unrated, reject_unrated
from aggregator.db.catalog_cache import STATEMENT_S, Catalog, Sighting, StaleCatalog, hold_catalog
from aggregator.db.dead_letters import insert_dead_letters
from aggregator.db.progress import advance, drop_replayed, lock_progress
from aggregator.db.quarantine import put_aside, without
from aggregator.db.rollups.attributed import add_runs
from aggregator.db.rollups.rollups import add_checked_rollups
from aggregator.db.rollups.sums import note_limited, select_rooms
from aggregator.db.series import learn_series
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of, corrects_of
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import DecodedBatch, UsageRecord, organizations_of
from aggregator.domain.limits.admission import month_of
from aggregator.domain.rating import quantities_text
from aggregator.domain.rollup import Decision, missing_unit
from aggregator.domain.sum_limit import Rooms, fit_all

NONE_FAIL: Mapping[str, str] = {}


class OnTrial(Shared):
    """Rolls back a trial that succeeded."""


async def apply_batch(
    pool: Pool, topics: tuple[str, str], batch: DecodedBatch, catalog: Catalog, result: BatchResult,
    failing: Mapping[str, str] = NONE_FAIL, *, on_trial: bool = False, statement_s: float = STATEMENT_S,
) -> BatchResult:  # fmt: skip
    """Count a batch of `topics` = (usage topic, catalog topic). Safe to repeat with the same batch at any time.

    Records of organizations in quarantine are put aside, and so are the records of the organizations `failing`, which
    enter quarantine for the reasons given. Raises StaleCatalog, OffsetGap, or any failure. Then nothing is written, and
    `result.step` names the step that failed. A trial writes nothing either, and raises OnTrial when it succeeds.
    """
    topic, catalog_topic = topics
    result.step = "series"
    names = await _learn(pool, batch, catalog, failing)
    async with pool.acquire() as connection, connection.transaction():
        result.step = "positions"
        await hold_catalog(connection, catalog_topic, catalog, statement_s)
        positions = await lock_progress(connection, topic, batch.spans)
        fresh = drop_replayed(batch, positions, result)
        aside = await lock_quarantined(connection, names, catalog) if names else set()
        if aside or failing:
            fresh, records = without(fresh, aside | failing.keys())
            await put_aside(connection, topic, records, catalog, failing, result)
        sightings = await store(connection, topic, fresh, catalog, result)
        if on_trial:
            raise OnTrial
        result.step = "positions"
        await advance(connection, topic, batch, result)
    catalog.sightings.update(sightings)
    catalog.aside |= failing.keys()
    return result


async def _learn(pool: Pool, batch: DecodedBatch, catalog: Catalog, failing: Mapping[str, str]) -> Collection[str]:
    """Create numbers for new organizations, series and attributions of the batch. Returns the names of its
    organizations."""
    catalog.make_room()
    month = month_of(max(batch.last_received.values(), default=0.0))
    catalog.enter_month(month)
    keys, names = find_new_series(batch, catalog)
    names.update(failure.organization for failure in batch.failures)
    aside = (catalog.aside & names) | failing.keys()
    await catalog.learn_organizations(pool, aside)
    await learn_series(pool, catalog, {key for key in keys if key[0] not in aside} if aside else keys, month)
    attributions = find_new_attributions(batch, catalog)
    await learn_attributions(
        pool, catalog, {key: at for key, at in attributions.items() if key.organization not in aside}
    )
    return names


async def lock_quarantined(connection: Connection, names: Collection[str], catalog: Catalog) -> set[str]:
    """The organizations among `names` that are in quarantine. They stay in it until the transaction ends.

    Raises StaleCatalog when `catalog` lists one in quarantine that has left it.
    """
    rows = await connection.fetch(SQL["lock_quarantined"], sorted(names))
    aside = {row["organization"] for row in rows}
    released = (catalog.aside & set(names)) - aside
    catalog.aside |= aside
    if released:
        catalog.aside -= released
        raise StaleCatalog
    return aside


async def store(
    connection: Connection, topic: str, fresh: DecodedBatch, catalog: Catalog, result: BatchResult
) -> dict[tuple[int, str, str], Sighting]:
    """Store the whole batch except its position in the log. Returns new agent sightings, to be remembered after the
    commit."""
    result.rejections += fresh.rejections
    result.step = "places"
    fresh = await place(connection, leave_unusual(fresh, catalog), catalog)
    rooms = await _select_rooms(connection, fresh, catalog) if catalog.limited else {}
    result.step = "rating"
    decisions, unrated = _decide(fresh.uses, catalog)
    decisions = fit_all(decisions, rooms)
    in_columns = await count_columns(connection, fresh.columns, catalog, result)
    await claim(connection, decisions, result)
    await reject_unrated(connection, unrated, result)
    await correct(connection, fresh.corrections, catalog, rooms, result)
    remember(chain(result.counted, result.held), catalog.recent)
    result.step = "held"
    await _insert_held(connection, result.held)
    if rooms:
        await note_limited(connection, result.held)
    result.step = "rollups"
    await add_checked_rollups(connection, result.rollups, rooms, catalog, catalog.gross, in_columns.sums)
    await add_runs(connection, result.runs)
    result.step = "agents"
    agents = chain(agents_of(chain(result.counted, result.held)), in_columns.agents)
    sightings = find_new_sightings(agents, catalog.sightings)
    await write_sightings(connection, sightings)
    result.step = "dead letters"
    await insert_dead_letters(connection, topic, result.rejections)
    result.step = "totals"
    await connection.execute(SQL["insert_totals"], sorted({key[0] for key in result.rollups.organization_days}))
    return sightings


def _decide(uses: Iterable[UsageRecord], catalog: Catalog) -> tuple[list[Decision], list[Unrated]]:
    decisions, unrated = list[Decision](), list[Unrated]()
    for use in uses:
        try:
            decisions.append(decide_in(catalog, use))
        except InvalidEvent as error:
            unrated.append(Unrated(use, error))
    return decisions, unrated


async def _select_rooms(connection: Connection, fresh: DecodedBatch, catalog: Catalog) -> Rooms:
    numbers = {catalog.organizations[name].organization_id for name in organizations_of(fresh)}
    return await select_rooms(connection, catalog.limited & numbers)


def run_of(decision: Decision) -> tuple[UUID | None, str | None, str | None]:
    run = decision.run
    return (UUID(run.identity), run.run_id, run.parent_id) if run else (None, None, None)


def _own_feature(decision: Decision) -> str | None:
    """The feature that a rate must have, if the series has another one."""
    kept = decision.recorded_as
    return None if kept is None or kept.feature == decision.use.series[3] else decision.use.series[3]


async def _insert_held(connection: Connection, held: Sequence[Decision]) -> None:
    if held:
        rows = [
            (
                use.ledger_bucket, UUID(use.identity), decision.organization_id, decision.series_id, use.occurred, use.credits,
                use.quantity, missing_unit(decision) or use.unit, use.partition, use.offset, decision.waits_for,
                *corrects_of(use),
                use.record.value if use.corrects else None, use.received, decision.attribution_id, *run_of(decision),
                quantities_text(use.quantities, None), _own_feature(decision),
            )
            for decision in held
            for use in (decision.use,)
        ]  # fmt: skip
        await connection.execute(SQL["insert_held"], *columns_of(rows))
