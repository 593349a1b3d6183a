"""Held usage that can be counted now. The sweep after the catalog event that completes the usage releases it."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg
import structlog
from flexcredits_schemas.zones import find_zone
from runtime.isolation import concerns_one, describe_failure
from runtime.postgres.pool import Pool

from aggregator.backlog.release import Identity, release_chunk
from aggregator.backlog.turns import Turns
from aggregator.db.catalog_cache import Catalog
from aggregator.db.quarantine import RELEASE, quarantine
from aggregator.db.statements import SQL
from aggregator.db.unnest import by_bucket
from aggregator.domain.limits.series_key import SeriesKey
from aggregator.domain.sum_limit import SumLimit
from aggregator.metrics import QUARANTINES

log = structlog.get_logger()
CHUNK = 5_000  # held events per turn, so that locks are released several times per second
KINDS_AT_ONCE = 1_000  # kinds of held usage per turn, which takes some 15 ms
ALL_ORGANIZATIONS = 0  # that number is the deployment's, which uses nothing
REST_AFTER_S = 3.0
REST = 4
REST_MAX_S = 60.0
"""An organization of which a pass releases nothing for more than REST_AFTER_S rests for REST times the rest of that time, at
most REST_MAX_S: a rate that comes meanwhile waits as long. An organization whose held usage differs in each event must not
keep Postgres busy for good."""

Event = tuple[int, int]
"""Kafka partition and offset."""
BEGIN: Event = (-1, -1)


class HeldKind(NamedTuple):
    """Held usage that waits for the same rate, or has credits, and is of the same series."""

    rate_key: str
    series_id: int
    series: SeriesKey
    covered_from: float
    """The rates cover usage from this time on, in seconds since 1970."""


@dataclass
class Pass:
    """How far a pass through the held usage of an organization has come."""

    after: tuple[str, int] = ("", -1)
    """The last kind that was read: its rate key and series."""
    kinds: list[HeldKind] = field(default_factory=list)
    """Kinds that were read and may have usage to release. Of the first one, events up to `event` were tried."""
    event: Event = BEGIN
    has_more: bool = True
    """Whether there may be kinds after `after`."""
    idle_s: float = 0.0
    """Time of the turns that released nothing."""


class Passes:
    """What a process remembers between sweeps: whose turn it is, how far each organization has come, and which
    organizations rest, until when."""

    def __init__(self) -> None:
        self.turns = Turns[Pass]()
        self.rests: dict[int, float] = {}


async def release_held(pool: Pool, topics: tuple[str, str], catalog: Catalog, passes: Passes) -> tuple[int, bool]:
    """Count the held usage whose organization, rate and original are known now, in turns of organizations.

    Returns the number of events counted, and whether more may be possible at once. Any aggregator may release usage of
    any partition: rows are claimed, and sums are added under the same locks as by batches.
    """
    clock = asyncio.get_running_loop().time
    released, failing = 0, dict[int, str]()
    due = {row["organization_id"] for row in await pool.fetch(SQL["select_due"], [RELEASE])}
    rows = await _fetch_planned(pool, "select_held_organizations", ALL_ORGANIZATIONS)
    names = {row["organization_id"]: row["organization"] for row in rows if find_zone(row["time_zone"] or "")}
    passes.rests = {number: ends for number, ends in passes.rests.items() if number in names and ends > clock()}

    async def release_next(organization_id: int) -> bool:
        nonlocal released
        began = clock()
        at = passes.turns.places.setdefault(organization_id, Pass())
        try:
            counted = await _advance(pool, topics, catalog, (organization_id, names[organization_id]), at)
        except SumLimit as error:
            catalog.limited |= error.organizations
            return True
        except Exception as error:
            if not concerns_one(error):
                raise
            failing[organization_id] = describe_failure(error)
            del passes.turns.places[organization_id]
            return False
        released += counted
        if not counted:
            at.idle_s += clock() - began
        if at.kinds or at.has_more:
            return True
        del passes.turns.places[organization_id]
        if at.idle_s > REST_AFTER_S:
            passes.rests[organization_id] = clock() + min(REST * (at.idle_s - REST_AFTER_S), REST_MAX_S)
        return False

    left = await passes.turns.take(names.keys() - passes.rests.keys(), release_next)
    await _note(pool, failing, due - left)
    return released, bool(left)


async def _note(pool: Pool, failing: Mapping[int, str], due: Collection[int]) -> None:
    """Record the organizations whose held usage could not be released, and end the quarantine of those that
    succeeded."""
    if not failing and not due:
        return
    async with pool.acquire() as connection, connection.transaction():
        await quarantine(connection, RELEASE, sorted(failing.items()))
        await connection.execute(SQL["delete_quarantine"], RELEASE, sorted(set(due) - failing.keys()))
    for organization_id, reason in failing.items():
        QUARANTINES.labels("aggregator").inc()
        log.error("held usage not released", organization_id=organization_id, reason=reason)


async def _fetch_planned(pool: Pool, statement: str, *args: object) -> list[asyncpg.Record]:
    """Rows of a statement that is planned for the present size of its tables."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(SQL["plan_each_time"])
        return await connection.fetch(SQL[statement], *args)


async def _advance(
    pool: Pool, topics: tuple[str, str], catalog: Catalog, organization: tuple[int, str], at: Pass
) -> int:
    """Do the next step of a pass: find kinds that may have usage to release, and release a chunk of it. Returns the
    number of events counted."""
    number, name = organization
    if not at.kinds:
        rows = await _fetch_planned(pool, "select_held_kinds", number, *at.after, KINDS_AT_ONCE)
        at.kinds = [kind for row in rows if (kind := _find_covered(catalog, name, row)) is not None]
        at.has_more = len(rows) == KINDS_AT_ONCE
        if rows:
            at.after = rows[-1]["rate_key"], rows[-1]["series_id"]
        if not at.kinds:
            return 0
    begins = [at.event, *[BEGIN] * (len(at.kinds) - 1)]
    keys = [(kind.rate_key, kind.series_id, *begin) for kind, begin in zip(at.kinds, begins, strict=True)]
    portion = await _fetch_planned(pool, "select_held_portion", number, *zip(*keys, strict=True), CHUNK)
    series, counted = {kind.series_id: kind.series for kind in at.kinds}, 0
    for partition, identities in sorted((await _find_candidates(pool, at.kinds, portion)).items()):
        counted += await release_chunk(pool, topics, catalog, number, series, partition, identities)
    if len(portion) < CHUNK:
        at.kinds, at.event = [], BEGIN
    else:
        last = portion[-1]
        at.kinds, at.event = at.kinds[last["position"] - 1 :], (last["kafka_partition"], last["kafka_offset"])
    return counted


def _find_covered(catalog: Catalog, organization: str, row: asyncpg.Record) -> HeldKind | None:
    """The kind of a row, or None if it waits for a rate and there is none for any time."""
    dimensions = row["product"], row["feature_kind"], row["feature"], row["agent_id"], row["surface"]
    series, covered_from = SeriesKey(organization, *dimensions), float("-inf")
    if row["unit"] is not None:
        feature = series.feature if row["own_feature"] is None else row["own_feature"]
        kind = organization, series.product, series.feature_kind, feature, row["unit"]
        covered_from = catalog.card.stretches_of(*kind).covered_from
        if covered_from == float("inf"):
            return None
    return HeldKind(row["rate_key"], row["series_id"], series, covered_from)


async def _find_candidates(
    pool: Pool, kinds: Sequence[HeldKind], portion: Sequence[asyncpg.Record]
) -> dict[int, list[Identity]]:
    """By Kafka partition, the events that a release may count or reject. The others wait, and nothing is locked for
    them."""
    corrections = [row for row in portion if row["corrects"] is not None]
    originals = {
        (bucket, original["identity"]): original
        for bucket, identities in by_bucket((row["corrects_bucket"], row["corrects"].bytes) for row in corrections)
        for original in await pool.fetch(SQL["select_held_originals"], bucket, identities)
    }
    candidates = defaultdict[int, list[Identity]](list)
    for row in portion:
        if row["corrects"] is not None:
            original = originals.get((row["corrects_bucket"], row["corrects"]))
            # One with the dimensions of another series is rejected, whether its original waits or not.
            waits = original is None or (original["is_waiting"] and original["series_id"] == row["series_id"])
        else:
            waits = row["occurred"] < kinds[row["position"] - 1].covered_from
        if not waits:
            candidates[row["kafka_partition"]].append((row["ledger_bucket"], row["identity"]))
    return candidates
