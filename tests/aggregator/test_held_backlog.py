"""Held usage of one organization, however many kinds it has, does not delay the release of another's."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aggregator.backlog.held import CHUNK, REST_AFTER_S, REST_MAX_S, Pass, release_held
from aggregator.db.statements import SQL
from runtime.postgres.pool import Connection
from support.data.factories import correction, organization, rate, records, rfc3339, usage
from support.services.aggregator import TOPICS, Aggregator

FLOOD = 200_000
BLOCKS_MAX = 60
"""Limit of 8 KiB blocks that a statement may read for one organization, kind or event; the flood has more than 5,000."""
EXECUTIONS = {
    "select_held_organizations": "(0)",
    "select_held_kinds": "(2, 'u5', 0, 3)",
    "select_held_portion": "(2, ARRAY[E'u7\\x1f', E'u8\\x1f'], ARRAY[1, 1], ARRAY[-1, -1], ARRAY[-1, -1], 5)",
}


async def flood(owner: Connection, organization: str, events: int) -> None:
    """Held usage whose unit differs in each event."""
    await owner.execute(
        "INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)"
        " SELECT organization_id, 'assistant', 'model', 'flood', '', '' FROM organizations WHERE organization = $1",
        organization,
    )
    await owner.execute(
        "INSERT INTO usage_held (ledger_bucket, identity, organization_id, series_id, occurred_at, received_at, quantity, unit,"
        " kafka_partition, kafka_offset, waits_for)"
        " SELECT 1, gen_random_uuid(), organization_id, series_id, now(), now(), 1, 'u' || n, 0, n, 'rate'"
        " FROM generate_series(1, $2) AS n, usage_series JOIN organizations USING (organization_id) WHERE organization = $1",
        organization,
        events,
    )


def tokens(organization: str, **data: object) -> dict[str, Any]:
    quantity: dict[str, Any] = {"feature_kind": "model", "feature": "gpt", "quantity": "1000", "unit": "tokens"}
    return usage(envelope={"subject": organization}, **{**quantity, **data})


async def test_kinds_that_differ_in_each_event_delay_no_other_organization(
    aggregator: Aggregator, owner: Connection
) -> None:
    await aggregator.learn(organization("org_a"), organization("org_b"))
    await aggregator.count(records([tokens("org_b")]))
    await flood(owner, "org_a", FLOOD)
    await aggregator.learn(rate(subject="org_b"))
    released, more = await release_held(aggregator.pool, TOPICS, aggregator.catalog, aggregator.releasing)
    assert (released, more) == (1, True), "org_a has the first turn, and each has one within half a second"
    [at] = aggregator.releasing.turns.places.values()
    before = at.after
    await release_held(aggregator.pool, TOPICS, aggregator.catalog, aggregator.releasing)
    assert at.after > before, "it goes on where it was"
    assert await owner.fetchval("SELECT count(*) FROM usage_held") == FLOOD


@pytest.mark.parametrize("analyzed", ["never", "before", "after"])
async def test_a_turn_reads_little_of_a_flood_whatever_the_planner_knows(
    aggregator: Aggregator, owner: Connection, analyzed: str
) -> None:
    await aggregator.learn(organization("org_a"), organization("org_b"))
    await aggregator.count(records([tokens("org_a"), tokens("org_b")]))
    if analyzed == "before":
        await owner.execute("VACUUM ANALYZE usage_held")
    async with aggregator.pool.acquire() as connection:
        for name in EXECUTIONS:
            await connection.execute(f"PREPARE {name} AS {SQL[name]}")
        for _ in range(8):  # from the sixth on Postgres would keep a plan
            assert max((await count_blocks(connection)).values()) < BLOCKS_MAX
        await flood(owner, "org_b", 30_000)
        if analyzed == "after":
            await owner.execute("VACUUM ANALYZE usage_held")
        blocks = await count_blocks(connection)
        assert max(blocks.values()) < BLOCKS_MAX, blocks


async def count_blocks(connection: Connection) -> dict[str, int]:
    blocks = {}
    async with connection.transaction():
        await connection.execute(SQL["plan_each_time"])
        for name, arguments in EXECUTIONS.items():
            [plan] = json.loads(
                await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name} {arguments}")
            )
            blocks[name] = int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
    return blocks


async def test_usage_of_many_kinds_and_partitions_is_released_in_chunks(aggregator: Aggregator) -> None:
    """More events than a chunk, of kinds with more and with fewer of them."""
    await aggregator.learn(organization("org_a"))
    sent = [tokens("org_a", feature=f"f{number % 3}", unit=f"u{number % 2}") for number in range(CHUNK + 900)]
    sent += [tokens("org_a", feature=f"rare{number}", surface=f"s{number}") for number in range(60)]
    held = [records(sent[at::2], partition=at) for at in range(2)]
    assert len((await aggregator.count(*held)).held) == len(sent)
    await aggregator.learn(*(rate(unit=unit) for unit in ("u0", "u1", "tokens")))
    assert await aggregator.release() == len(sent)
    assert await aggregator.total() == len(sent) * 1_000_000
    await aggregator.check_grains()
    assert aggregator.releasing.turns.places == {}


@pytest.mark.parametrize("kind", ["before its rate", "without its original"])
async def test_usage_that_still_waits_locks_no_partition(aggregator: Aggregator, kind: str) -> None:
    tomorrow = rfc3339(datetime.now(UTC) + timedelta(days=1))
    await aggregator.learn(organization("org_a"), rate(effective_from=tomorrow))
    original = usage(envelope={"subject": "org_a"})
    waiting = tokens("org_a") if kind == "before its rate" else correction(original, "-0.5")
    assert len((await aggregator.count(records([waiting]))).held) == 1
    async with aggregator.pool.acquire() as batch, batch.transaction():
        await batch.execute("SELECT FROM partition_progress FOR UPDATE")
        assert await asyncio.wait_for(aggregator.release(), 10) == 0
    if kind == "before its rate":
        await aggregator.learn(rate(effective_from=rfc3339(datetime.now(UTC) - timedelta(days=2))))
    else:
        await aggregator.count(records([original], partition=1))
    assert await aggregator.release() == 1


async def test_a_correction_with_other_dimensions_is_rejected_while_its_original_waits(aggregator: Aggregator) -> None:
    await aggregator.learn(organization("org_a"))
    original = tokens("org_a")
    other = correction({**original, "data": {**original["data"], "feature": "other"}}, "-1")
    await aggregator.count(records([other], partition=1))
    await aggregator.count(records([original]))
    await aggregator.release()
    assert [row["rejected"] for row in await aggregator.progress()] == [0, 1]


async def test_an_organization_rests_after_a_long_pass_that_released_nothing(aggregator: Aggregator) -> None:
    await aggregator.learn(organization("org_a"), organization("org_b"))
    await aggregator.count(records([tokens("org_a")]))
    number = aggregator.catalog.organizations["org_a"].organization_id
    aggregator.releasing.turns.places[number] = Pass(idle_s=REST_AFTER_S + 1000)
    assert await aggregator.release() == 0
    await aggregator.learn(rate())
    assert await aggregator.release() == 0, "it rests"
    now = asyncio.get_running_loop().time()
    assert now + REST_MAX_S - 5 < aggregator.releasing.rests[number] <= now + REST_MAX_S
    await aggregator.count(records([tokens("org_b", unit="calls")], first=1))
    await aggregator.learn(rate(unit="calls"))
    assert await aggregator.release() == 1, "others do not"
    aggregator.releasing.rests[number] = now
    assert await aggregator.release() == 1
