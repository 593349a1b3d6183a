"""Contract events and their tables."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest
from aggregator.catalog.events import apply_catalog_events
from aggregator.catalog.rates import RATES_PER_MONTH
from aggregator.catalog.zone_rules import record_zone_rules
from aggregator.db.catalog_cache import Catalog
from aggregator.db.progress import load_progress
from flexcredits_schemas.zones import TZ_VERSION, changes_of
from runtime.postgres.pool import Pool
from support.data.factories import contract, event, organization, rate, records
from support.infra.stack import Database

CATALOG = "usage.catalog.v1"


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=2) as opened:
        yield opened


def with_team(team: dict[str, Any] | None) -> dict[str, Any]:
    event = contract()
    return {**event, "data": event["data"] | ({} if team is None else {"account_team": team})}


async def test_account_team_is_that_of_the_latest_version_of_the_contract(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    whole = {"name": "Grace Hopper", "email": "grace@flexcredits.example", "url": "https://flexcredits.example/acme"}
    for offset, team in enumerate((None, whole, {"email": "desk@flexcredits.example"}, None)):
        await apply_catalog_events(pool, CATALOG, records([with_team(team)], first=offset))
        row = await pool.fetchrow("SELECT account_team_name, account_team_email, account_team_url FROM contracts")
        assert row is not None
        assert tuple(row) == tuple((team or {}).get(word) for word in ("name", "email", "url"))


async def test_an_account_team_without_a_valid_address_is_dead_lettered(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    await apply_catalog_events(
        pool, CATALOG, records([with_team({}), with_team({"url": "http://flexcredits.example"})])
    )
    pointers = await pool.fetch("SELECT pointer FROM dead_letter_outbox ORDER BY kafka_offset")
    assert [row["pointer"] for row in pointers] == ["/data/account_team", "/data/account_team/url"]
    assert await pool.fetchval("SELECT count(*) FROM contracts") == 0


async def test_a_zone_is_stored_under_its_successors_name_and_one_that_is_not_accepted_is_dead_lettered(
    pool: Pool,
) -> None:
    await load_progress(pool, CATALOG, [0])
    catalog_events = [
        organization("org_a", "US/Pacific"), organization("org_b", "posix/Europe/Berlin"),
        organization("org_c", "Asia/Kolkata"), organization("org_d", "EST5EDT"),
    ]  # fmt: skip
    await apply_catalog_events(pool, CATALOG, records(catalog_events))
    rows = await pool.fetch("SELECT organization, time_zone FROM organizations WHERE organization_id > 0 ORDER BY 1")
    assert [tuple(row) for row in rows] == [("org_a", "America/Los_Angeles"), ("org_c", "Asia/Kolkata")]
    dead = await pool.fetch("SELECT kafka_offset, pointer FROM dead_letter_outbox ORDER BY 1")
    assert [tuple(row) for row in dead] == [(1, "/data/time_zone"), (3, "/data/time_zone")]


async def test_a_contract_from_the_year_1_is_dead_lettered_and_one_without_an_end_is_applied(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    catalog_events = []
    for begins, ends in (("0001-01-01", "2027-01-01"), ("2000-01-01", "9999-12-31")):
        event = contract(**{"from": begins, "to": ends})
        catalog_events.append({**event, "data": event["data"] | {"from": begins, "to": ends}})
    await apply_catalog_events(
        pool, CATALOG, records([*catalog_events, rate(effective_from="0001-01-01T00:00:00+14:00")])
    )
    dead = await pool.fetch("SELECT kafka_offset, pointer FROM dead_letter_outbox ORDER BY 1")
    assert [tuple(row) for row in dead] == [(0, "/data/from"), (2, "/data/effective_from")]
    assert await pool.fetchval("SELECT ends_on FROM credit_periods") == date(9999, 12, 31)


@pytest.mark.parametrize("zone", ["posix/Europe/Berlin", "localtime", "Nowhere"])
async def test_a_stored_zone_without_rules_holds_its_organizations_usage_until_an_event_corrects_it(
    pool: Pool, database: Database, zone: str
) -> None:
    await load_progress(pool, CATALOG, [0])
    await apply_catalog_events(pool, CATALOG, records([organization("org_odd"), organization("org_acme")]))
    owner = await asyncpg.connect(database.dsn)
    await owner.execute("UPDATE organizations SET time_zone = $1 WHERE organization = 'org_odd'", zone)
    await owner.close()
    catalog = Catalog()

    async def known() -> dict[str, str | None]:
        async with pool.acquire() as connection:
            await catalog.refresh(connection, catalog.version + 1)
        return {name: organization.time_zone for name, organization in catalog.organizations.items()}

    assert await known() == {"org_odd": None, "org_acme": "UTC"}
    catalog.version = 2
    await apply_catalog_events(pool, CATALOG, records([organization("org_odd", "Europe/Berlin")], first=2))
    assert await known() == {"org_odd": "Europe/Berlin", "org_acme": "UTC"}


async def test_rules_are_recorded_when_a_zone_is_known_and_when_an_aggregator_starts(
    pool: Pool, database: Database
) -> None:
    await load_progress(pool, CATALOG, [0])
    await apply_catalog_events(
        pool, CATALOG, records([organization(f"org_{name}", "America/Vancouver") for name in "abcd"])
    )
    rows = await pool.fetch("SELECT tz, changes FROM zone_rules")
    today = list(changes_of("America/Vancouver"))
    assert [tuple(row) for row in rows] == [(TZ_VERSION, today)] * 4
    owner = await asyncpg.connect(database.dsn)
    older = list(changes_of("America/Los_Angeles"))
    await owner.execute(
        "INSERT INTO usage_organization_daily (organization_id, day, product, kafka_partition, credits, events)"
        " SELECT organization_id, '2026-11-20', 'api', 0, 5, 1 FROM organizations WHERE organization_id > 0"
    )
    # b: older rules. c: older rules that agree up to now. d: counted before rules were recorded.
    ids = {row[0]: row[1] for row in await owner.fetch("SELECT organization, organization_id FROM organizations")}
    await owner.execute(
        "UPDATE zone_rules SET tz = '2025b', changes = $1 WHERE organization_id = $2", older, ids["org_b"]
    )
    future = [*today, changes_of("UTC")[0] + 15 * 365 * 86400, 0]
    await owner.execute(
        "UPDATE zone_rules SET tz = '2026e', changes = $1 WHERE organization_id = $2", future, ids["org_c"]
    )
    await owner.execute("DELETE FROM zone_rules WHERE organization_id = $1", ids["org_d"])
    await owner.close()
    for _ in range(2):
        async with pool.acquire() as connection:
            outdated = await record_zone_rules(connection)
        since = datetime(2026, 11, 1, 9, tzinfo=UTC)
        assert outdated == [
            ("org_b", "America/Vancouver", "2025b", since), ("org_d", "America/Vancouver", None, None),
        ]  # fmt: skip
        rows = await pool.fetch("SELECT tz FROM zone_rules ORDER BY organization_id")
        assert [row["tz"] for row in rows] == [TZ_VERSION, "2025b", TZ_VERSION, None]


def priced(**data: Any) -> dict[str, Any]:
    event = contract()
    return {**event, "data": event["data"] | {"currency": "USD"} | data}


async def test_every_version_of_a_contract_leaves_what_it_says_of_prices(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    listed = [
        {"effective_from": "2026-10-01", "overage_price": "0.07"},
        {"effective_from": "2026-12-01", "credit_price": "0.05"},
    ]
    said: list[dict[str, Any]] = [
        {"overage_price": "0.06", "credit_price": "0.04"}, {"overage_price": "0.06", "credit_price": "0.04"},
        {"overage_price": "0.09"}, {"overage_price": "0.06", "prices": listed},
    ]  # fmt: skip
    for offset, prices in enumerate(said):
        await apply_catalog_events(pool, CATALOG, records([priced(**prices)], first=offset))
    kept = json.loads(await pool.fetchval("SELECT price_versions FROM contracts"))
    assert all(version["currency"] == "USD" and version["received_at"] for version in kept)
    assert [(version["is_list"], [(step["credit"], step["from"], step["overage"]) for step in version["steps"]]) for version in kept] == [
        (False, [(40_000, None, 60_000)]), (False, [(None, None, 90_000)]),
        (True, [(None, None, 60_000), (None, "2026-10-01", 70_000), (50_000, "2026-12-01", None)]),
    ]  # fmt: skip


async def test_a_contract_from_before_prices_had_dates_keeps_its_price(pool: Pool, database: Database) -> None:
    await load_progress(pool, CATALOG, [0])
    await apply_catalog_events(pool, CATALOG, records([priced(overage_price="0.06")]))
    await pool.execute("UPDATE contracts SET price_versions = '[]'")
    await apply_catalog_events(pool, CATALOG, records([priced(overage_price="0.09")], first=1))
    kept = json.loads(await pool.fetchval("SELECT price_versions FROM contracts"))
    assert [version["steps"][0]["overage"] for version in kept] == [60_000, 90_000]


async def test_what_is_kept_of_prices_is_bounded_and_ends_with_the_newest(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    await apply_catalog_events(pool, CATALOG, records([priced(overage_price="0.06")]))
    [version] = json.loads(await pool.fetchval("SELECT price_versions FROM contracts"))
    await pool.execute("UPDATE contracts SET price_versions = $1", json.dumps([version] * 800))
    for offset in range(1, 100):
        await apply_catalog_events(pool, CATALOG, records([priced(overage_price=f"0.{offset:02}")], first=offset))
    kept = await pool.fetchval("SELECT price_versions FROM contracts")
    assert 128_000 < len(kept) <= 131_072
    versions = [version["steps"][0]["overage"] for version in json.loads(kept)]
    assert (versions[0], versions[-1]) == (60_000, 990_000)


async def test_prices_that_do_not_follow_each_other_are_dead_lettered(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    twice = [{"effective_from": "2026-10-01", "overage_price": "1"}] * 2
    await apply_catalog_events(
        pool, CATALOG, records([priced(prices=twice), priced(prices=[]), priced(prices=[{"overage_price": "1"}])])
    )
    pointers = await pool.fetch("SELECT pointer FROM dead_letter_outbox ORDER BY kafka_offset")
    assert pointers[0]["pointer"] == "/data/prices/1/effective_from"
    assert len(pointers) == 3


def actor(day: int = 1, **data: Any) -> dict[str, Any]:
    """A version of the actor p_ada, of this day of January 2026."""
    return event("flexcredits.actor.v1", {"id": "p_ada"} | data, time=f"2026-01-{day:02}T09:00:00Z")


async def read_actor(pool: Pool) -> tuple[Any, ...]:
    return tuple(await pool.fetchrow("SELECT display_name, email, removed, erased FROM actors") or ())


async def test_an_actor_has_what_its_newest_event_gives_and_keeps_what_that_omits(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    steps = [
        (actor(2, display_name="Ada", email="Ada@Acme.Example"), ("Ada", "ada@acme.example", False, False)),
        (actor(1, display_name="Old", removed=True), ("Ada", "ada@acme.example", False, False)),
        (actor(2, display_name="Ada L."), ("Ada L.", "ada@acme.example", False, False)),  # equal times: higher offset
        (actor(3, removed=True), ("Ada L.", "ada@acme.example", True, False)),
        (actor(4), ("Ada L.", "ada@acme.example", False, False)),
        (actor(6, erased=True, display_name="Ada"), (None, None, True, True)),
        (actor(5, display_name="Ada", email="a@acme.example"), (None, None, True, True)),
        (actor(7, groups=["sales"]), (None, None, True, True)),
        (actor(8, display_name="Ada B."), ("Ada B.", None, False, False)),
    ]
    for offset, (version, expected) in enumerate(steps):
        await apply_catalog_events(pool, CATALOG, records([version], first=offset))
        assert await read_actor(pool) == expected, offset


async def test_an_actor_that_is_first_heard_of_when_it_is_erased_has_no_name(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    await apply_catalog_events(pool, CATALOG, records([actor(2, erased=True, email="ada@acme.example")]))
    assert await read_actor(pool) == (None, None, True, True)


async def test_groups_of_an_actor_have_effective_dates(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    versions = [
        actor(3, groups=["sales", "emea", "sales"]),
        actor(4, groups=["late"], effective_from="2026-02-01"),
        actor(5, groups=[], effective_from="2026-02-01"),
        actor(2, groups=["older"], effective_from="2026-01-03"),
        actor(6, display_name="Ada", effective_from="2026-03-01"),
        actor(1, groups=["first"]),
    ]
    await apply_catalog_events(pool, CATALOG, records(versions))
    rows = await pool.fetch("SELECT effective_from, groups FROM actor_groups ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        (date(2026, 1, 1), ["first"]), (date(2026, 1, 3), ["sales", "emea"]), (date(2026, 2, 1), []),
    ]  # fmt: skip


async def test_a_group_is_that_of_its_newest_event(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])

    def group(day: int, **data: Any) -> dict[str, Any]:
        return event("flexcredits.group.v1", {"id": "sales"} | data, time=f"2026-01-{day:02}T09:00:00Z")

    async def apply(offset: int, version: dict[str, Any]) -> tuple[Any, ...]:
        await apply_catalog_events(pool, CATALOG, records([version], first=offset))
        return tuple(await pool.fetchrow("SELECT name, parent_id, owner_emails FROM people_groups") or ())

    first = ("Sales", "all", ["ada@acme.example", "bo@acme.example"])
    owners = ["Bo@acme.example", "ada@acme.example", "bo@acme.example"]
    assert await apply(0, group(2, name="Sales", parent="all", owner_emails=owners)) == first
    assert await apply(1, group(1, name="Older")) == first
    assert await apply(2, group(3, name="Revenue")) == ("Revenue", None, [])


async def test_settings_of_an_organization_for_people_stay_when_an_event_omits_them(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])

    async def apply(offset: int, **data: Any) -> tuple[Any, ...]:
        version = organization()
        version["data"] |= data
        await apply_catalog_events(pool, CATALOG, records([version], first=offset))
        columns = "SELECT label_keys, people, my_usage, alias_key FROM organizations WHERE organization = 'org_acme'"
        return tuple(await pool.fetchrow(columns) or ())

    *defaults, alias_key = await apply(0)
    assert defaults == [[], "named", True]
    given = (["cost_center", "project"], "groups_only", False, alias_key)
    assert (
        await apply(1, label_keys=["project", "cost_center", "project"], people="groups_only", my_usage=False) == given
    )
    assert await apply(2) == given
    assert await apply(3, label_keys=[], people="pseudonymous") == ([], "pseudonymous", False, alias_key)


@pytest.mark.parametrize(
    ("rates", "is_refused"),
    [
        ([{"unit": "a", "part_of": "b"}, {"unit": "b", "part_of": "a"}], True),
        ([{"unit": "a", "part_of": "b"}, {"unit": "b", "part_of": "c"}, {"unit": "c", "part_of": "a"}], True),
        ([{"unit": "a", "part_of": "b"}, {"unit": "b", "part_of": "a", "feature": "gpt"}], True),
        ([{"unit": "a", "part_of": "b", "feature": "gpt"}, {"unit": "b", "part_of": "a"}], True),
        ([{"unit": "a", "part_of": "b", "feature": "gpt"}, {"unit": "b", "part_of": "a", "feature": "opus"}], False),
        ([{"unit": "a", "part_of": "b"}, {"unit": "a"}, {"unit": "b", "part_of": "a"}], False),
        ([{"unit": "a", "part_of": "b"}, {"unit": "b", "part_of": "a", "feature_kind": "tool"}], False),
        ([{"unit": "a", "part_of": "b"}, {"unit": "b", "part_of": "a", "subject": "org_acme"}], True),
        ([{"unit": "a", "part_of": "b", "subject": "org_acme"}, {"unit": "b", "part_of": "a", "subject": "org_x"}], False),
        ([{"unit": "a", "part_of": "b", "subject": "org_acme"}, {"unit": "b", "part_of": "a"}], False),
    ],
)  # fmt: skip
async def test_a_unit_is_not_part_of_itself(pool: Pool, rates: list[dict[str, str]], is_refused: bool) -> None:
    await load_progress(pool, CATALOG, [0])
    events = [organization(), organization("org_x"), *(rate(**{"feature": "*", **each}) for each in rates)]
    await apply_catalog_events(pool, CATALOG, records(events))
    letters = [
        (row["pointer"], row["reason"]) for row in await pool.fetch("SELECT pointer, reason FROM dead_letter_outbox")
    ]
    assert (
        letters
        == [("/data/part_of", f"`a` is part of `{rates[-1]['unit']}` by another rate, so neither would be charged")]
        * is_refused
    )
    assert await pool.fetchval("SELECT count(*) FROM rates") == len(rates) - is_refused


async def test_rates_of_the_deployment_and_of_organizations_keep_their_order(pool: Pool) -> None:
    """Also where an organization has sent a rate before: together they would charge nothing for both units."""
    await load_progress(pool, CATALOG, [0])
    events = [
        organization(),
        rate(subject="org_acme", unit="x"),
        rate(unit="a", part_of="b"),
        rate(subject="org_acme", unit="b", part_of="a"),
    ]
    await apply_catalog_events(pool, CATALOG, records(events))
    assert [row["unit"] for row in await pool.fetch("SELECT unit FROM rates ORDER BY catalog_offset")] == ["x", "a"]
    assert await pool.fetchval("SELECT pointer FROM dead_letter_outbox") == "/data/part_of"


async def test_a_rate_that_is_sent_again_after_an_opposite_one_changes_nothing(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    first = rate(unit="a", part_of="b")
    events = [first, rate(unit="a"), rate(unit="b", part_of="a"), first]
    await apply_catalog_events(pool, CATALOG, records(events))
    assert await pool.fetchval("SELECT count(*) FROM dead_letter_outbox") == 0
    assert [row["unit"] for row in await pool.fetch("SELECT unit FROM rates ORDER BY rate_id")] == ["a", "a", "b"]


async def test_an_organization_sends_a_limited_number_of_rates_in_a_month(pool: Pool) -> None:
    """It refuses its own further rates only, and neither copies nor those of the deployment."""
    await load_progress(pool, CATALOG, [0])
    own = [rate(subject="org_acme", unit=unit) for unit in "abcd"]
    others = [rate(subject="org_globex"), *(rate(unit=unit) for unit in "abcd")]
    await apply_catalog_events(pool, CATALOG, records([*own[:2]]))
    await pool.execute(
        "INSERT INTO rates (organization_id, product, feature_kind, feature, unit, credits, per, received_at, catalog_offset, source,"
        " event_id) SELECT r.organization_id, r.product, r.feature_kind, r.feature, r.unit, 1, 1, r.received_at, -n, 'more', n::text"
        " FROM rates r, generate_series(1, $1) AS n WHERE unit = 'a'",
        RATES_PER_MONTH - 2,
    )
    await apply_catalog_events(pool, CATALOG, records([*own[2:], own[0], *others], first=2))
    letters = await pool.fetch("SELECT reason, pointer FROM dead_letter_outbox")
    reason = "the organization has sent 10,000 rates in this month: send a rate only when a price changes"
    assert [(row["reason"], row["pointer"]) for row in letters] == [(reason, "/data")] * 2
    assert await pool.fetchval("SELECT count(*) FROM rates") == RATES_PER_MONTH + len(others)


async def test_a_rate_says_which_unit_includes_its_unit(pool: Pool) -> None:
    await load_progress(pool, CATALOG, [0])
    events = [organization(), rate(), rate(unit="cached_tokens", part_of="tokens"), rate(part_of="tokens")]
    await apply_catalog_events(pool, CATALOG, records(events))
    catalog = Catalog()
    async with pool.acquire() as connection:
        await catalog.refresh(connection, 4)
    found = [
        catalog.card.rate_at("org_acme", "assistant", "model", "gpt", unit, time.time() + 60)
        for unit in ("tokens", "cached_tokens")
    ]
    assert [at and at.part_of for at in found] == [None, "tokens"]
    assert await pool.fetchval("SELECT pointer FROM dead_letter_outbox") == "/data/part_of"
