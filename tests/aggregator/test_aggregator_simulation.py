"""Thousands of histories of aggregators, each from one seed: crashes, zombies, replays, errors and commits with unknown result."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aggregator.db.statements import SQL
from simulation.aggregator import run
from simulation.replay import Mirror, Overtaken, Trace, connect, open_mirror
from support.faults.mutants import AGGREGATOR, make_mutant
from support.faults.simulation_runs import begin, result
from support.infra.stack import Database

HISTORIES = int(os.environ.get("SIMULATED_HISTORIES", "800"))
SEED = int(os.environ.get("SIMULATED_SEED", "0"))


@pytest.mark.timeout(120 + HISTORIES // 5)
@pytest.mark.slow
def test_every_record_has_one_disposition_under_faults() -> None:
    half = HISTORIES // 2
    runs = [begin("aggregator", SEED, half), begin("aggregator", SEED + half, HISTORIES - half)]
    results = [result(run) for run in runs]
    assert [code for code, _ in results] == [0, 0], "\n".join(text for _, text in results)


@pytest.mark.slow
def test_a_seed_always_gives_the_same_history() -> None:
    again = [result(run) for run in [begin("aggregator", 7, 40), begin("aggregator", 7, 40)]]
    assert again[0] == again[1]
    assert "40 histories" in again[0][1]


UNSIMULATED = {"the outbox's statement removed"}


@pytest.mark.parametrize("mutant", sorted(AGGREGATOR.keys() - UNSIMULATED))
@pytest.mark.slow
def test_an_aggregator_without_a_safeguard_is_caught(tmp_path: Path, mutant: str) -> None:
    code, output = result(begin("aggregator", 0, 150, mutant=make_mutant("aggregator", AGGREGATOR[mutant], tmp_path)))
    assert code == 1, output
    assert "seed " in output, output


REPLAYED = 24
TABLES = {
    "progress": "SELECT topic, partition, next_offset, counted, duplicate, rejected, held, skipped, records_end, coalesce(extract(epoch FROM caught_up_at)::float8, 0)"
    " FROM partition_progress",
    "hours": "SELECT topic, partition, extract(epoch FROM hour_at) / 3600, counted, duplicate, rejected, held FROM partition_hours",
    "quarters": "SELECT organization_id, extract(epoch FROM bucket_at) / 900, series_id, credits, events FROM usage_15m",
    "days": "SELECT organization_id, day - date '1970-01-01', series_id, credits, events FROM usage_daily",
    "months": "SELECT * FROM usage_monthly",
    "attribution_months": "SELECT * FROM attribution_months",
    "series_months": "SELECT * FROM series_months",
    "organization_days": "SELECT organization_id, day - date '1970-01-01', product, kafka_partition, credits, events FROM usage_organization_daily",
    "organization_months": "SELECT * FROM usage_organization_monthly",
    "corrections": "SELECT organization_id, day - date '1970-01-01', series_id, credits, corrections FROM usage_corrections",
    "late": "SELECT organization_id, day - date '1970-01-01', received_on - date '1970-01-01', product, credits, events FROM usage_late",
    "attributed_days": "SELECT organization_id, day - date '1970-01-01', attribution_id, series_id, credits, events FROM usage_attributed_daily",
    "attributed_months": "SELECT * FROM usage_attributed_monthly",
    "runs": "SELECT organization_id, run, credits, events, (extract(epoch FROM first_at) * 1000000)::bigint, agent_id, attribution_id,"
    " (extract(epoch FROM last_at) * 1000000)::bigint, run_id, parent_id FROM usage_runs",
    "sightings": "SELECT organization_id, agent_id, kind, name, ever_saved, extract(epoch FROM seen_at)::float8, extract(epoch FROM named_at)::float8 FROM agent_sightings",
    "totals": "SELECT totals_id, organization_id FROM totals_outbox",
    "wakeups": "SELECT wakeup_id, organization_id FROM alert_wakeups",
    "reasons": "SELECT * FROM correction_reasons",
    "strays": "SELECT id_day, ledger_bucket, identity, extract(epoch FROM received_at)::float8 FROM ledger_strays",
}  # fmt: skip
"""For each simulated table, the query for its key and row in the real Postgres."""


def as_rows(table: Mapping[Any, Any]) -> set[tuple[Any, ...]]:
    """Key and row as one tuple."""
    return {tuple(flatten(item)) for item in table.items()}


def flatten(item: tuple[Any, ...]) -> Iterator[Any]:
    for part in item:
        yield from flatten(part) if isinstance(part, tuple) else (part,)


REPLAYS_MAX = 10


async def empty(owner: "asyncpg.Connection[asyncpg.Record]", tables: Sequence[str]) -> None:
    await owner.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")
    await owner.execute(
        "INSERT INTO organizations (organization_id, organization) OVERRIDING SYSTEM VALUE VALUES (0, '')"
    )


async def replay(mirror: Mirror, trace: Trace, prepare: Callable[[], Awaitable[None]]) -> None:
    """Replay a trace until Postgres gives every lock to the session that the simulation gives it to."""
    for attempt in range(REPLAYS_MAX):
        await prepare()
        try:
            return await mirror.replay(trace)
        except Overtaken:
            await mirror.abandon()
            assert attempt < REPLAYS_MAX - 1, "Postgres never gives the lock to the session that waits longest"
    return None


async def test_the_simulated_postgres_returns_the_rows_of_a_real_one(database: Database) -> None:
    """Compares the same histories, first by statement, then by table."""
    began = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    emptied = [
        "organizations",
        "usage_series",
        "usage_attributions",
        "usage_ledger",
        "usage_held",
        "rates",
        "dead_letter_outbox",
    ]
    emptied += [query.split(" FROM ")[-1] for query in TABLES.values()]
    role = database.roles["flexcredits_aggregator"]
    sql = {**SQL, "wait_shortly": SQL["wait_as_usual"]}  # replaying a trace is slower than the simulation
    async with connect(database.dsn) as owner, open_mirror(sql, role, owner) as mirror:
        for seed in range(SEED, SEED + REPLAYED):
            scenario = await asyncio.to_thread(run, seed, began, traced=True)
            assert not scenario.violations, seed
            assert scenario.postgres.trace
            await replay(mirror, scenario.postgres.trace, lambda: empty(owner, emptied))
            for name, query in TABLES.items():
                real = {tuple(row) for row in await owner.fetch(query)}
                assert as_rows(scenario.postgres.table(name)) == real, f"seed {seed}: {name}"
        assert mirror.compared > REPLAYED * 100
        assert mirror.waited > REPLAYED / 2
