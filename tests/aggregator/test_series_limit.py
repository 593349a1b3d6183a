"""The limit of new series in a month: totals stay exact, other organizations keep their names, and copies, corrections, rates and
runs follow what was decided."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aggregator import metrics
from aggregator.db.catalog_cache import FOLDED_MAX, Catalog
from aggregator.domain.columns.heads import Heads
from aggregator.domain.limits.series_key import SeriesKey
from flexcredits_schemas.codec import InvalidEvent, decode
from flexcredits_schemas.identity import OTHER
from flexcredits_schemas.rating.card import FOUND_MAX, Rate, RateCard
from hypothesis import given
from hypothesis import strategies as st
from support.data.factories import correction, organization, rate, records, rfc3339, usage
from support.infra.stack import Database
from support.services.aggregator import Aggregator

TIME = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
LIMIT = 3


@pytest.fixture(params=[False, True], ids=["exact path", "columns"])
async def aggregator(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        here = Aggregator(pool, Heads() if request.param else None)
        here.catalog.series_per_month = LIMIT
        yield here


def used(feature: object = "search", agent: object = None, surface: str | None = "web", **data: Any) -> dict[str, Any]:
    """Usage of an agent, if one is given, or of a tool."""
    named = {"feature": str(feature), "surface": surface, **({} if "quantity" in data else {"credits": "1"}), **data}
    if agent is not None:
        named |= {"product": "agents", "agent": {"id": str(agent), "kind": "unsaved"}}
    return usage(envelope={"time": rfc3339(TIME)}, **named)


async def counted(here: Aggregator) -> Counter[tuple[str, str, str]]:
    """Events by feature, agent and surface, in days and in the ledger, which agree."""
    days, ledger = [
        Counter(
            {(row["feature"], row["agent_id"], row["surface"]): row["events"] for row in await here.pool.fetch(text)}
        )
        for text in (
            "SELECT feature, agent_id, surface, sum(events)::bigint AS events FROM usage_daily"
            " JOIN usage_series USING (series_id) GROUP BY 1, 2, 3",
            "SELECT feature, agent_id, surface, count(*) AS events FROM usage_ledger"
            " JOIN usage_series USING (series_id) WHERE NOT held AND corrects IS NULL GROUP BY 1, 2, 3",
        )
    ]
    assert days == ledger
    return days


async def test_agents_that_differ_in_each_event_are_folded_and_their_features_stay(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    before = metrics.FOLDED_SERIES._value.get()
    await aggregator.count(records([used("search", number) for number in range(50)]))
    await aggregator.count(records([used("code", number) for number in range(50)], first=50))
    found = await counted(aggregator)
    assert (found["search", OTHER, "web"], found["code", OTHER, "web"]) == (50 - LIMIT, 50)
    assert found.total() == 100 == await aggregator.total() / 1_000_000
    [row] = await aggregator.pool.fetch("SELECT created, folded FROM series_months")
    assert tuple(row) == (LIMIT + 2, 97)
    assert metrics.FOLDED_SERIES._value.get() == before + 97
    assert await aggregator.pool.fetchval("SELECT count(*) FROM agent_sightings") == LIMIT


async def test_features_that_differ_in_each_event_are_folded_by_kind(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    models = [used(f"m{number}", feature_kind="model", surface=None) for number in range(5)]
    await aggregator.count(records([*(used(f"f{number}") for number in range(20)), *models]))
    kinds = await aggregator.pool.fetch(
        "SELECT feature_kind, surface, sum(events)::bigint AS events FROM usage_monthly JOIN usage_series USING (series_id)"
        " WHERE feature = $1 GROUP BY 1, 2 ORDER BY 1",
        OTHER,
    )
    own = await aggregator.pool.fetchval("SELECT count(*) FROM usage_series WHERE feature <> $1", OTHER)
    assert own == 2 * LIMIT
    assert {(row["feature_kind"], row["surface"]) for row in kinds} <= {("tool", OTHER), ("model", "")}
    assert sum(row["events"] for row in kinds) == 25 - own
    assert await aggregator.total() == 25_000_000


async def test_names_that_are_known_stay(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    await aggregator.count(records([used("search"), *(used(f"f{number}") for number in range(20))]))
    before = (await counted(aggregator))["search", "", "web"]
    await aggregator.count(records([used("search") for _ in range(5)], first=21))
    assert (await counted(aggregator))["search", "", "web"] - before in (0, 5)  # one of those that came first, or not
    aggregator.catalog.series_ids.clear()
    aggregator.catalog.places = None
    aggregator.catalog.folded_series.clear()  # another process
    again = await aggregator.count(records([used("search")], first=26))
    assert again.counted_number == 1
    assert await aggregator.pool.fetchval("SELECT count(*) FROM usage_series") == 2 * LIMIT + 1


async def test_one_organization_does_not_use_up_the_limit_of_another(aggregator: Aggregator) -> None:
    await aggregator.learn(organization(), organization("org_globex"))
    theirs = [{**used(f"g{number}", surface=None), "subject": "org_globex"} for number in range(LIMIT)]
    await aggregator.count(records([*(used(f"f{number}") for number in range(50)), *theirs]))
    found = await counted(aggregator)
    assert [found[f"g{number}", "", ""] for number in range(LIMIT)] == [1] * LIMIT


async def test_copies_of_folded_usage_are_duplicates(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    events = [used("search", number) for number in range(9)]
    await aggregator.count(records(events))
    aggregator.catalog.series_per_month = 100
    aggregator.catalog.forget_folded_series()  # another process gives each agent a number of its own
    again = await aggregator.count(records([*events, used("search", 5), used("code", 7)], first=9))
    assert (again.duplicate_number, again.counted_number, len(again.rejections)) == (9, 2, 0)
    assert (await counted(aggregator))["search", OTHER, "web"] == 9 - LIMIT
    assert await aggregator.total() == 11_000_000


async def test_a_copy_with_another_feature_is_a_conflict(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    events = [used("search", number) for number in range(5)]
    await aggregator.count(records(events))
    other = {**events[4], "data": {**events[4]["data"], "feature": "code"}}
    kind = {**events[3], "data": {**events[3]["data"], "feature_kind": "model"}}
    again = await aggregator.count(records([other, kind], first=5))
    assert (again.duplicate_number, [at.kind for at in again.rejections]) == (0, ["conflict"] * 2)


async def test_corrections_follow_their_original(aggregator: Aggregator) -> None:
    """Whatever series the process would give them now, and whichever of them comes first."""
    await aggregator.learn(organization())
    events = [used("search", number) for number in range(9)]
    late = used("search", "late")
    early = correction(late, "-0.25", time=rfc3339(TIME))
    await aggregator.count(records([*events, early]))
    assert await aggregator.release() == 0
    aggregator.catalog.series_per_month = 100
    aggregator.catalog.forget_folded_series()
    corrections = [correction(event, "-0.5", time=rfc3339(TIME)) for event in events]
    wrong = correction({**events[8], "data": {**events[8]["data"], "feature": "code"}}, "-0.1", time=rfc3339(TIME))
    first = await aggregator.count(records([*corrections, wrong], first=10))
    assert (first.counted_number, [at.kind for at in first.rejections]) == (9, ["correction"])
    again = await aggregator.count(records([*corrections, late], first=20))
    assert (again.duplicate_number, again.counted_number) == (9, 1)
    assert await aggregator.release() == 1
    series = await aggregator.pool.fetch(
        "SELECT l.series_id = o.series_id AS same FROM usage_ledger l JOIN usage_ledger o"
        " ON (o.ledger_bucket, o.identity) = (l.corrects_bucket, l.corrects)"
    )
    assert [row["same"] for row in series] == [True] * 10
    await aggregator.check_grains()
    assert await aggregator.total() == 9 * 500_000 + 750_000


async def test_folded_usage_is_rated_by_its_own_feature(aggregator: Aggregator) -> None:
    """Also when the rate comes later."""
    await aggregator.learn(organization(), rate(credits="2", per="1", feature="f0", unit="tokens"))
    events = [
        used(f"f{at}", surface=f"s{number}", feature_kind="model", quantity="1", unit="tokens")
        for number in range(20)
        for at in (0, 1)
    ]
    counting = await aggregator.count(records(events))
    assert (counting.counted_number, len(counting.held)) == (20, 20)
    assert await aggregator.total() == 40_000_000
    await aggregator.learn(
        rate(credits="3", per="1", feature="f1", unit="tokens", effective_from=rfc3339(TIME - timedelta(1)))
    )
    assert await aggregator.release() == 20
    assert await aggregator.total() == 100_000_000
    await aggregator.check_grains()
    assert (await counted(aggregator))[OTHER, "", OTHER] > 20


async def test_held_usage_of_features_without_a_rate_locks_no_partition(aggregator: Aggregator) -> None:
    """The rate of another feature does not make all of the usage be read again, under the locks of all its partitions."""
    kind = {"feature_kind": "model", "unit": "tokens"}
    await aggregator.learn(organization(), rate(credits="2", per="1", feature="other", unit="tokens"))
    events = [used(f"f{number}", surface=f"s{number}", quantity="1", **kind) for number in range(20)]
    assert len((await aggregator.count(records(events))).held) == 20
    async with aggregator.pool.acquire() as batch, batch.transaction():
        await batch.execute("SELECT FROM partition_progress FOR UPDATE")
        assert await asyncio.wait_for(aggregator.release(), 10) == 0
    early = {"effective_from": rfc3339(TIME - timedelta(1))}
    await aggregator.learn(rate(credits="3", per="1", feature="f19", unit="tokens", **early))
    assert await aggregator.release() == 1
    assert await aggregator.total() == 3_000_000


async def test_a_run_has_the_agent_under_which_its_usage_is_recorded(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    events = [used("search", number, run={"id": f"r{number}"}) for number in range(9)]
    await aggregator.count(records(events))
    runs = await aggregator.pool.fetch(
        "SELECT r.agent_id, s.agent_id AS recorded FROM usage_runs r JOIN usage_ledger l USING (organization_id, run)"
        " JOIN usage_series s USING (series_id)"
    )
    assert all(row["agent_id"] == row["recorded"] for row in runs)
    assert Counter(row["agent_id"] for row in runs)[OTHER] == 9 - LIMIT


async def test_the_next_month_has_room_again(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    await aggregator.count(records([used("search", number) for number in range(9)]))
    month = (datetime.now(UTC).replace(day=1) + timedelta(days=32)).replace(day=1)
    aggregator.catalog.enter_month(month.date())
    await aggregator.pool.execute("UPDATE series_months SET month = '2000-01-01'")
    await aggregator.count(records([used("search", 8)], first=9))
    assert (await counted(aggregator))["search", "8", "web"] == 1


async def test_any_pieces_and_replays_give_the_same_totals(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    chance = random.Random(7)
    events = [used(f"f{chance.randrange(4)}", chance.randrange(9)) for _ in range(120)]
    await aggregator.count_in_pieces(chance, {0: records(events)}, [])
    found = await counted(aggregator)
    await aggregator.count(records(events))
    assert await counted(aggregator) == found
    assert found.total() == 120
    assert await aggregator.total() == 120_000_000


async def test_names_in_memory_are_bounded_and_do_not_displace_those_of_others(aggregator: Aggregator) -> None:
    await aggregator.learn(organization(), organization("org_globex"))
    await aggregator.count(records([{**used("kept"), "subject": "org_globex"}]))
    aggregator.catalog.folded_series = {
        ("org_acme", "api", "namespace", str(number), "", ""): SeriesKey("org_acme", "api", "namespace", OTHER, "", "")
        for number in range(FOLDED_MAX + 1)
    }
    await aggregator.count(records([used(f"f{number}") for number in range(9)], first=1))
    assert len(aggregator.catalog.folded_series) == 9 - 2 * LIMIT
    assert ("org_globex", "assistant", "tool", "kept", "", "web") in aggregator.catalog.series_ids


def test_of_two_decisions_about_a_series_the_last_one_counts() -> None:
    """A batch and the retry of a quarantine may learn the same series at once."""
    catalog, own = Catalog(), SeriesKey("org_acme", "agents", "tool", "search", "a", "")
    catalog.note_series({own: 2}, {own: own.fold_part()})
    assert (catalog.series_ids[own], catalog.folded_series[own]) == (2, own.fold_part())
    catalog.note_series({own: 1}, {own: own})
    assert (catalog.series_ids[own], catalog.folded_series) == (1, {})


def test_rates_found_for_features_that_differ_are_bounded() -> None:
    card = RateCard()
    card.add([Rate(1, "", "assistant", "model", "*", "tokens", 1, 1, float("-inf"), 0.0, 0)])
    for number in range(FOUND_MAX + 10):
        assert card.rate_at("org_acme", "assistant", "model", f"f{number}", "tokens", 1.0) is not None
    assert (len(card._found) <= FOUND_MAX, len(card._stretches)) == (True, 1)


def test_an_event_cannot_name_what_stands_for_others() -> None:
    for data in ({"feature": OTHER}, {"surface": OTHER}, {"agent": {"id": OTHER, "kind": "saved"}}):
        with pytest.raises(InvalidEvent):
            decode(json.dumps(usage(**data)).encode())


names = st.sampled_from(["", "a", OTHER])
keys = st.builds(
    SeriesKey, st.just("acme"), st.sampled_from(["api", "agents"]), st.just("tool"), st.sampled_from("ab"), names, names
)


@given(keys, keys)
def test_a_series_stands_for_those_that_fold_to_it(key: SeriesKey, other: SeriesKey) -> None:
    assert key.counts_as(other[1:]) == (other in (key, key.fold_part(), key.fold_all()))
    assert key.fold_part().fold_all() == key.fold_all() == key.fold_all().fold_all()
    assert [name == "" for name in key.fold_all()] == [name == "" for name in key]
