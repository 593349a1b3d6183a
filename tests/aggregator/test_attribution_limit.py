"""The limit of new attributions in a month: totals stay exact, copies and rebuilds follow what was decided."""

import gc
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aggregator import metrics
from aggregator.db.attributions import learn_attributions
from aggregator.db.catalog_cache import ATTRIBUTION_BYTES_MAX, SERIES_MAX, Catalog, largest_of
from aggregator.domain.columns.heads import Heads
from aggregator.domain.people.attribution import Attribution
from aggregator.domain.rollup import Organization
from flexcredits_schemas.codec import InvalidEvent, decode
from support.data.factories import organization, records, rfc3339, usage
from support.infra.stack import Database
from support.services.aggregator import Aggregator

TIME = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(params=[False, True], ids=["exact path", "columns"])
async def aggregator(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        here = Aggregator(pool, Heads() if request.param else None)
        here.catalog.attributions_per_month = 3
        yield here


def used(actor: str | None = "ana", request: object = None, **data: Any) -> dict[str, Any]:
    who = {"actor": {"id": actor}} if actor else {}
    labels = {} if request is None else {"labels": {"request": f"r{request}"}}
    return usage(credits="1", envelope={"time": rfc3339(TIME)}, **who, **labels, **data)


async def counted(here: Aggregator) -> Counter[tuple[str, str]]:
    """Events by actor and labels, in days and in the ledger, which agree."""
    days, ledger = [
        Counter({(row["actor_id"], row["labels"]): row["events"] for row in await here.pool.fetch(text)})
        for text in (
            "SELECT actor_id, labels::text AS labels, sum(events)::bigint AS events FROM usage_attributed_daily"
            " JOIN usage_attributions USING (attribution_id) GROUP BY 1, 2",
            "SELECT actor_id, labels::text AS labels, count(*) AS events FROM usage_ledger"
            " JOIN usage_attributions USING (attribution_id) GROUP BY 1, 2",
        )
    ]
    assert days == ledger
    return days


OTHER = ("ana", '{"": ""}')


async def test_labels_that_differ_in_each_event_are_folded(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    before = metrics.FOLDED_ATTRIBUTIONS._value.get()
    await aggregator.count(records([used(request=number) for number in range(50)]))
    await aggregator.count(records([used(request=number) for number in range(40, 90)], first=50))
    found = await counted(aggregator)
    assert found[OTHER] == 97
    assert found.total() == 100 == await aggregator.total() / 1_000_000
    assert await aggregator.pool.fetchval("SELECT count(*) FROM usage_attributions") == 4
    [row] = await aggregator.pool.fetch("SELECT created, folded FROM attribution_months")
    assert tuple(row) == (4, 87)
    assert metrics.FOLDED_ATTRIBUTIONS._value.get() == before + 87


async def test_people_stay_when_labels_are_folded(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    await aggregator.count(records([used(request=number) for number in range(9)]))
    await aggregator.count(records([used("bob"), used("bob", 1), used("carl"), used("dora"), used(None)], first=9))
    found = await counted(aggregator)
    assert (found["bob", "{}"], found["bob", '{"": ""}'], found["", '{"": ""}']) == (1, 1, 2)
    kinds = await aggregator.pool.fetch("SELECT actor_kind FROM usage_attributions WHERE actor_id = ''")
    assert [row["actor_kind"] for row in kinds] == ["other"]


async def test_copies_of_folded_usage_are_duplicates(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    events = [used(request=number) for number in range(9)]
    await aggregator.count(records(events))
    aggregator.catalog.attributions_per_month = 100
    aggregator.catalog.forget_attributions()  # another process gives each label a number of its own
    again = await aggregator.count(records([*events, used(request=5), used("bob", 7)], first=9))
    assert (again.duplicate_number, again.counted_number, len(again.rejections)) == (9, 2, 0)
    assert (await counted(aggregator))[OTHER] == 6
    assert await aggregator.total() == 11_000_000


async def test_a_copy_with_another_actor_is_a_conflict(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    events = [used(request=number) for number in range(9)]
    await aggregator.count(records(events))
    other = {**events[8], "data": {**events[8]["data"], "actor": {"id": "bob"}}}
    first = {**events[0], "data": {**events[0]["data"], "labels": {"request": "r1"}}}
    again = await aggregator.count(records([other, first], first=9))
    assert (again.duplicate_number, [at.kind for at in again.rejections]) == (0, ["conflict"] * 2)


async def test_one_organization_does_not_use_up_the_limit_of_another(aggregator: Aggregator) -> None:
    await aggregator.learn(organization(), organization("org_globex"))
    theirs = [{**used("gus", number), "subject": "org_globex"} for number in range(3)]
    await aggregator.count(records([*(used(request=number) for number in range(50)), *theirs]))
    found = await counted(aggregator)
    assert {key: number for key, number in found.items() if key[0] == "gus"} == {
        ("gus", f'{{"request": "r{number}"}}'): 1 for number in range(3)
    }


async def test_the_next_month_has_room_again(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    await aggregator.count(records([used(request=number) for number in range(5)]))
    later = records([used(request=4)], first=5)
    month = (datetime.now(UTC).replace(day=1) + timedelta(days=32)).replace(day=1)
    aggregator.catalog.enter_month(month.date())
    await aggregator.pool.execute("UPDATE attribution_months SET month = '2000-01-01'")
    await aggregator.count(later)
    assert (await counted(aggregator))["ana", '{"request": "r4"}'] == 1


async def test_any_pieces_and_replays_give_the_same_totals(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    chance = random.Random(7)
    events = [used(f"u{chance.randrange(6)}", chance.randrange(4)) for _ in range(120)]
    await aggregator.count_in_pieces(chance, {0: records(events)}, [])
    found = await counted(aggregator)
    await aggregator.count(records(events))
    assert await counted(aggregator) == found
    assert found.total() == 120
    assert await aggregator.total() == 120_000_000


async def test_numbers_beyond_the_memory_limit_are_learned_again(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    aggregator.catalog.attributions_per_month = 100
    events = [used(request=number) for number in range(9)]
    await aggregator.count(records(events))
    aggregator.catalog.attribution_bytes["org_acme"] = ATTRIBUTION_BYTES_MAX + 1
    again = await aggregator.count(records([*events, used(request=9)], first=9))
    assert (again.duplicate_number, again.counted_number) == (9, 1)
    assert len(await counted(aggregator)) == len(aggregator.catalog.attribution_ids) == 10
    assert 0 < aggregator.catalog.attribution_bytes.total() < 10_000


async def test_names_of_one_organization_displace_none_of_others(aggregator: Aggregator) -> None:
    await aggregator.learn(organization(), organization("org_big"), organization("org_small"))
    own = [used(request=number) for number in range(9)]
    large = [used(request=number) | {"subject": name} for name in ("org_big", "org_small") for number in range(9)]
    await aggregator.count(records([*own, *large]))
    catalog = aggregator.catalog
    catalog.attribution_bytes["org_big"] = ATTRIBUTION_BYTES_MAX
    catalog.make_room()
    assert Counter(key.organization for key in catalog.attribution_ids) == {"org_acme": 9, "org_small": 9}
    result = await aggregator.count(records([*own, *large], first=27))
    assert (result.duplicate_number, len(catalog.attribution_ids)) == (27, 27)
    series = ("org_acme", "assistant", "tool", "jira_search", "", "web")
    assert series in catalog.series_ids
    catalog.series_ids |= {("org_big", "assistant", "tool", f"{number}", "", ""): 0 for number in range(SERIES_MAX)}
    catalog.make_room()
    assert {key[0] for key in catalog.series_ids} == {"org_acme", "org_small"}
    assert (await aggregator.count(records([*own, *large], first=54))).duplicate_number == 27


def test_organizations_with_most_give_way_until_there_is_room() -> None:
    assert largest_of(Counter(a=90, b=20, c=1), 100) == {"a"}
    assert largest_of(Counter(a=40, b=40, c=30, d=1), 100) == {"a"}
    assert largest_of(Counter(a=80, b=80, c=75), 100) == {"a", "b"}
    assert largest_of(Counter(a=75), 100) == set()


async def test_the_memory_of_numbers_is_estimated(database: Database) -> None:
    catalog = Catalog(organizations={"org_acme": Organization(1, "UTC")})
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=1) as pool:
        await catalog.learn_organizations(pool, ["org_acme"])
        await pool.execute("INSERT INTO organizations (organization) VALUES ('org_acme') ON CONFLICT DO NOTHING")
        tracemalloc.start()
        keys = {
            Attribution("org_acme", "user", f"user-{number}", f"group-{number}", f'{{"request":"{number:060}"}}'): 1.0e9
            for number in range(3_000)
        }
        await learn_attributions(pool, catalog, keys)
        del keys
        gc.collect()
        used_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(catalog.attribution_ids) == 3_000
    assert used_bytes / 1.3 < catalog.attribution_bytes.total() < used_bytes * 2


def test_an_event_cannot_name_what_stands_for_others() -> None:
    for who in ({"labels": {"": ""}}, {"labels": {"team": ""}}, {"actor": {"id": "a", "kind": "other"}}):
        with pytest.raises(InvalidEvent):
            decode(json.dumps(usage(**who)).encode())
