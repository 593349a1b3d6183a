"""Contract facts into their tables."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from aggregator.facts import apply_facts
from aggregator.progress import load_progress
from factories import contract, records
from runtime.postgres import Pool
from stack import Database

CATALOG = "usage.catalog.v1"


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=2) as opened:
        yield opened


def with_team(team: dict[str, Any] | None) -> dict[str, Any]:
    fact = contract()
    return {**fact, "data": fact["data"] | ({} if team is None else {"account_team": team})}


async def test_account_team_is_that_of_the_latest_version_of_the_contract(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    whole = {"name": "Grace Hopper", "email": "grace@flexcredits.example", "url": "https://flexcredits.example/acme"}
    for offset, team in enumerate((None, whole, {"email": "desk@flexcredits.example"}, None)):
        await apply_facts(pool, CATALOG, records([with_team(team)], first=offset))
        row = await pool.fetchrow("SELECT account_team_name, account_team_email, account_team_url FROM contracts")
        assert row is not None
        assert tuple(row) == tuple((team or {}).get(word) for word in ("name", "email", "url"))


async def test_an_account_team_that_nobody_could_reach_is_dead_lettered(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    await apply_facts(pool, CATALOG, records([with_team({}), with_team({"url": "http://flexcredits.example"})]))
    pointers = await pool.fetch("SELECT pointer FROM dead_letter_outbox ORDER BY kafka_offset")
    assert [row["pointer"] for row in pointers] == ["/data/account_team", "/data/account_team/url"]
    assert await pool.fetchval("SELECT count(*) FROM contracts") == 0
