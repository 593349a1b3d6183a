"""An organization's sums end at 10^12 credits; usage beyond is held until an operator requests it."""

from aggregator.db.quarantine import SUMS, quarantine
from aggregator.db.rollups.sums import unlimit_due
from aggregator.domain.sum_limit import FAR_MAX, FAR_S, SMALL_MAX, SUM_LIMIT, SUM_MAX, Gross, is_far
from support.data.factories import correction, organization, records, usage
from support.faults.failing_rows import ALL, GOOD, check_proof, credits_of, quarantined, use_of
from support.services.aggregator import Aggregator

MOST = "999999999"


async def waits(aggregator: Aggregator) -> dict[str, int]:
    rows = await aggregator.pool.fetch("SELECT waits_for, count(*) AS number FROM usage_held GROUP BY 1")
    return {row["waits_for"]: row["number"] for row in rows}


async def test_usage_beyond_the_sum_limit_is_held_and_others_are_counted(aggregator: Aggregator) -> None:
    """9,300 events of 999,999,999 credits caused `bigint out of range` for all organizations, at every retry."""
    await aggregator.learn(*(organization(name) for name in ALL))
    huge = [use_of("org_a", credits=MOST) for _ in range(9_300)]
    outcome = await aggregator.count(records([*huge, *(use_of(name) for name in GOOD)]))
    assert len(outcome.counted) == SUM_MAX // 999_999_999_000_000 + len(GOOD)
    assert await waits(aggregator) == {SUM_LIMIT: 9_300 + len(GOOD) - len(outcome.counted)}
    assert await quarantined(aggregator) == [("org_a", "aggregator", "sums", 1)]
    totals = await credits_of(aggregator)
    assert totals["org_a"] <= SUM_MAX
    assert {name: totals[name] for name in GOOD} == dict.fromkeys(GOOD, 1_000_000)
    await check_proof(aggregator)
    # The limit also holds in another batch, partition, product and process. Small amounts still count.
    other = Aggregator(aggregator.pool)
    other.catalog_events = aggregator.catalog_events
    other.catalog.version = other.catalog_events
    other.catalog.changes = -1
    await other.refresh()
    more = [usage(product="assistant", credits=MOST, envelope={"subject": "org_a"}) for _ in range(5_000)]
    outcome = await other.count(records([*more, use_of("org_a"), use_of("org_b")], partition=1))
    assert len(outcome.counted) == 2
    assert len(outcome.held) == 5_000
    assert await aggregator.release() == 0
    await check_proof(aggregator)
    await aggregator.check_grains()


async def test_sums_grow_to_their_limit_in_small_batches(aggregator: Aggregator) -> None:
    """No batch is large by itself: 9 events of nearly 10^9 credits each."""
    await aggregator.learn(organization("org_a"))
    await aggregator.pool.execute(
        "INSERT INTO usage_organization_monthly VALUES ((SELECT organization_id FROM organizations WHERE organization = 'org_a'),"
        " '2025-01-01', 'api', 7, $1, 1)",
        SUM_MAX - 12 * 10**15,
    )
    results = []
    for batch in range(3):
        outcome = await aggregator.count(records([use_of("org_a", credits=MOST) for _ in range(9)], first=9 * batch))
        results.append((len(outcome.counted), len(outcome.held)))
    assert results == [(9, 0), (3, 6), (0, 9)]


async def test_large_sums_far_from_their_limit_are_not_added_up_for_every_batch(aggregator: Aggregator) -> None:
    await aggregator.learn(organization("org_a"))
    await aggregator.count(records([use_of("org_a", credits="10000001")]))
    [(number, seen)] = aggregator.catalog.gross.items()
    assert seen.credits == 10_000_001_000_000
    await aggregator.count(records([use_of("org_a")], first=1))
    assert aggregator.catalog.gross[number] == seen, "not queried again"
    await aggregator.count(records([use_of("org_a", credits="10000001")], first=2))
    assert aggregator.catalog.gross[number].credits == 20_000_003_000_000, "a batch this large always queries"
    for gross, added, later in ((FAR_MAX, 0, 1.0), (0, SMALL_MAX + 1, 1.0), (0, 0, FAR_S)):
        assert not is_far(Gross(gross, 5.0), added, 5.0 + later)
    assert is_far(Gross(FAR_MAX - 1, 5.0), SMALL_MAX, 6.0)


async def test_held_usage_is_released_up_to_the_limit(aggregator: Aggregator) -> None:
    await aggregator.count(records([use_of("org_a", credits=MOST) for _ in range(1_300)]))
    original = use_of("org_a", credits="5")
    await aggregator.count(records([original], first=1_300))
    await aggregator.learn(organization("org_a"))
    assert await aggregator.release() == 1_001
    assert await waits(aggregator) == {SUM_LIMIT: 300}
    assert await aggregator.release() == 0
    assert await aggregator.retry() == 0  # until an operator requests it
    assert await aggregator.release() == 0
    assert await waits(aggregator) == {SUM_LIMIT: 300}
    # A correction beyond the limit waits as well.
    await aggregator.count(records([correction(use_of("org_a"), "1")], first=1_301))
    await check_proof(aggregator)
    await aggregator.check_grains()


async def test_what_is_beyond_the_limit_is_counted_only_on_request(aggregator: Aggregator) -> None:
    """Also if there is room, and the same series has a correction that waits for its original."""
    await aggregator.count(records([use_of("org_a")]))
    await aggregator.pool.execute("UPDATE usage_held SET waits_for = 'sum_limit'")
    await aggregator.learn(organization("org_a"))
    await aggregator.count(records([correction(use_of("org_a"), "-1")], first=1))
    assert await aggregator.release() == 0
    assert await waits(aggregator) == {SUM_LIMIT: 1, "original": 1}
    await aggregator.retry()
    assert await waits(aggregator) == {SUM_LIMIT: 1, "original": 1}, "no operator requested it"
    async with aggregator.pool.acquire() as connection:
        await quarantine(connection, SUMS, [(aggregator.catalog.organizations["org_a"].organization_id, "")])
    await aggregator.retry()
    assert await aggregator.release() == 1
    await check_proof(aggregator)


async def test_what_is_beyond_the_limit_is_asked_for_in_portions(aggregator: Aggregator) -> None:
    await aggregator.learn(organization("org_a"))
    number = aggregator.catalog.organizations["org_a"].organization_id
    assert not await unlimit_due(aggregator.pool, aggregator.catalog)
    for partition in range(2):
        sent = [use_of("org_a", feature="unrated", quantity="5", unit="pages") for _ in range(3)]
        await aggregator.count(records(sent, partition=partition))
    await aggregator.pool.execute("UPDATE usage_held SET waits_for = 'sum_limit'")
    async with aggregator.pool.acquire() as connection:
        await quarantine(connection, SUMS, [(number, "")])
    await aggregator.pool.execute("UPDATE quarantine SET retry_at = now()")
    assert await unlimit_due(aggregator.pool, aggregator.catalog, portion=4)
    assert await waits(aggregator) == {SUM_LIMIT: 2, "rate": 4}
    await aggregator.pool.execute("UPDATE usage_held SET waits_for = 'sum_limit'")  # none of them fits
    assert await unlimit_due(aggregator.pool, aggregator.catalog, portion=4)
    assert await waits(aggregator) == {SUM_LIMIT: 4, "rate": 2}
    assert len(await quarantined(aggregator)) == 1
    assert not await unlimit_due(aggregator.pool, aggregator.catalog, portion=4)
    assert await waits(aggregator) == {SUM_LIMIT: 4, "rate": 2}, "once per request"
    assert await quarantined(aggregator) == []
