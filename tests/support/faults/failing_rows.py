"""Triggers that fail for one organization's rows, and what the aggregator then counts and quarantines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from support.data.factories import usage
from support.services.aggregator import TOPIC, Aggregator

GOOD = ("org_b", "org_c", "org_d", "org_e")
ALL = ("org_a", *GOOD)


@asynccontextmanager
async def failing(
    owner: "asyncpg.Connection[asyncpg.Record]", table: str, *names: str, when: str = "INSERT OR UPDATE",
    code: str = "P0001",
) -> AsyncIterator[None]:  # fmt: skip
    """During the block, every write of these organizations (default org_a) to a table raises."""
    name, *_ = names = names or ("org_a",)
    numbers = await owner.fetchval(
        "SELECT array_agg(organization_id) FROM organizations WHERE organization = ANY ($1)", names
    )
    await owner.execute(
        "CREATE FUNCTION raise_for_one() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF NEW.organization_id = ANY (ARRAY{numbers}) THEN RAISE EXCEPTION 'a defect of ''{name}''' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$"
    )
    await owner.execute(f"CREATE TRIGGER defect BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION raise_for_one()")
    yield
    await owner.execute("DROP FUNCTION raise_for_one CASCADE")


def use_of(name: str, **data: Any) -> dict[str, Any]:
    agent = {"id": "agt_1", "name": "Report", "kind": "saved"}
    return usage(product="agents", agent=agent, envelope={"subject": name}, **data)


async def credits_of(aggregator: Aggregator) -> dict[str, int]:
    rows = await aggregator.pool.fetch(
        "SELECT o.organization, sum(d.credits)::bigint AS credits FROM usage_organization_daily d JOIN organizations o USING (organization_id)"
        " GROUP BY 1"
    )
    return {row["organization"]: row["credits"] for row in rows}


async def quarantined(aggregator: Aggregator) -> list[tuple[str, str, str, int]]:
    rows = await aggregator.pool.fetch(
        "SELECT o.organization, q.component, q.step, q.attempts FROM quarantine q JOIN organizations o USING (organization_id) ORDER BY 1, 3"
    )
    return [tuple(row) for row in rows]


async def check_proof(aggregator: Aggregator) -> None:
    waiting = await aggregator.pool.fetchval(
        "SELECT (SELECT count(*) FROM usage_held) + (SELECT count(*) FROM quarantined_records WHERE topic = $1)", TOPIC
    )
    progress = await aggregator.progress()
    assert sum(row["held"] for row in progress) == waiting
    hours = await aggregator.pool.fetchrow(
        "SELECT sum(counted)::bigint, sum(duplicate)::bigint, sum(rejected)::bigint, sum(held)::bigint FROM partition_hours"
    )
    assert hours is not None
    assert [*hours] == [sum(row[name] for row in progress) for name in ("counted", "duplicate", "rejected", "held")]
    await aggregator.total()
