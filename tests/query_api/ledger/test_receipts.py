"""Receipts of events that the aggregator's own code processed."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncpg
import pytest
from aggregator.catalog.events import apply_catalog_events
from aggregator.consumer.isolation import count_batch
from aggregator.db.catalog_cache import Catalog
from aggregator.db.progress import load_progress
from aggregator.domain.decode import empty_batch, read
from flexcredits_schemas.identity import bucket_of, identity_of
from query_api.db.statements import SQL
from query_api.ledger.domain import event_buckets
from runtime.postgres.pool import Pool
from support.data.factories import correction, organization, rate, records, rfc3339, usage, uuid7
from support.data.table_rows import TOPIC, TableRows, local
from support.infra.stack import Database
from support.services.query_api import Api

TOPICS = (TOPIC, "usage.catalog.v1")


class Writer:
    """The aggregator without Kafka: catalog events first, then one batch."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._next_offset = 0
        self._used = 0
        self._catalog = Catalog()

    async def learn(self, *catalog_events: dict[str, Any]) -> None:
        await load_progress(self._pool, TOPICS[1], [0])
        version = await apply_catalog_events(self._pool, TOPICS[1], records(catalog_events, first=self._next_offset))
        self._next_offset += len(catalog_events)
        async with self._pool.acquire() as connection:
            await self._catalog.refresh(connection, version)

    async def count(self, *events: dict[str, Any]) -> None:
        batch = empty_batch()
        read(records(events, first=self._used), batch)
        self._used += len(events)
        await load_progress(self._pool, TOPIC, batch.spans)
        await count_batch(self._pool, TOPICS, batch, self._catalog)


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[Writer]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=2) as pool:
        yield Writer(pool)


def path_of(event: dict[str, Any]) -> str:
    return f"/api/v1/receipt?source={quote(event['source'])}&id={quote(event['id'])}"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


async def test_receipt_of_counted_usage_says_where_it_is_counted(api: Api, db: TableRows, writer: Writer) -> None:
    await writer.learn(organization(time_zone="Asia/Kathmandu"))
    at = now() - timedelta(days=40)
    day = str((at + timedelta(hours=5, minutes=45)).date())
    event = usage(
        envelope={"time": rfc3339(at), "id": uuid7(at)},
        product="agents",
        feature="search",
        surface="slack",
        credits="1.25",
    )
    await writer.count(usage(), event)
    acme = 1
    await db.contract(acme, "c1", "2020-01-01", "2040-01-01")
    await db.period(acme, "c1", "p1", "2020-01-01", "2040-01-01")
    receipt = await api.get(path_of(event))
    received_at = datetime.fromisoformat(receipt.pop("received_at"))
    assert timedelta() <= datetime.now(UTC) - received_at < timedelta(minutes=5)
    assert receipt == {
        "source": event["source"], "id": event["id"], "type": "usage", "state": "counted", "waits_for": None,
        "product": "agents", "feature_kind": "tool", "feature": "search", "agent": "agt_42", "surface": "slack",
        "is_beyond_limit": False,
        "actor": None, "group": None, "labels": {}, "run": None,
        "occurred_at": rfc3339(at), "topic": TOPIC, "partition": 0, "offset": 1,
        "credits": "1.250000", "credits_after_corrections": "1.250000", "quantity": None, "unit": None, "rate": None,
        "quantities": [], "missing_rate_of": None,
        "counted_in": {
            "quarter_hour_at": rfc3339(at.replace(minute=at.minute // 15 * 15, second=0)),
            "day": day, "month": day[:7], "credit_period": {"id": "p1", "contract_id": "c1", "key": "c1/p1", "from": "2020-01-01", "to": "2040-01-01"},
        },
        "corrections": [], "corrects": None, "reason": None, "rejections": [], "time_zone": "Asia/Kathmandu",
    }  # fmt: skip
    breakdown = await api.get(f"/api/v1/breakdown?product=agents&view=agents&from={day}&to={day}")
    assert breakdown["total"] == receipt["credits"]


async def test_receipt_of_rated_usage_shows_quantity_and_rate(api: Api, writer: Writer) -> None:
    await writer.learn(organization(), rate(credits="2", per="1000"))
    event = usage(feature_kind="model", feature="gpt", quantity="5213", unit="tokens")
    await writer.count(event)
    receipt = await api.get(path_of(event))
    assert (receipt["quantity"], receipt["unit"], receipt["credits"]) == ("5213.000000", "tokens", "10.426000")
    assert receipt["rate"].pop("received_at") is not None
    assert receipt["rate"] == {
        "credits": "2.000000", "per": "1000.000000", "effective_from": None, "scope": "deployment"
    }  # fmt: skip


async def test_receipt_of_several_quantities_shows_each_units_rate_and_what_is_charged(
    api: Api, writer: Writer
) -> None:
    await writer.learn(
        organization(),
        rate("2", "1000", unit="input_tokens"),
        rate("1", "3000", unit="cached_input_tokens", part_of="input_tokens", subject="org_acme"),
    )
    quantities = {"input_tokens": "812", "cached_input_tokens": "512"}
    counted = usage(feature_kind="model", feature="gpt", credits=None, quantities=quantities)
    held = usage(feature_kind="model", feature="gpt", credits=None, quantities=quantities | {"images": "0.5"})
    await writer.count(counted, held)
    receipt = await api.get(path_of(counted))
    assert (receipt["quantity"], receipt["unit"], receipt["rate"]) == (None, None, None)
    # 512 / 3000 + 300 x 2 / 1000, rounded once.
    assert (receipt["state"], receipt["credits"], receipt["missing_rate_of"]) == ("counted", "0.770667", None)
    for unit in receipt["quantities"]:
        assert unit["rate"].pop("received_at") is not None
    cached = {"credits": "1.000000", "per": "3000.000000", "effective_from": None, "scope": "organization"}
    assert receipt["quantities"] == [
        {"unit": "cached_input_tokens", "quantity": "512.000000", "part_of": "input_tokens", "charged": "512.000000",
         "rate": cached, "credits": "0.170666666667"},
        {"unit": "input_tokens", "quantity": "812.000000", "part_of": None, "charged": "300.000000",
         "rate": cached | {"credits": "2.000000", "per": "1000.000000", "scope": "deployment"}, "credits": "0.600000"},
    ]  # fmt: skip
    waiting = await api.get(path_of(held))
    assert (waiting["state"], waiting["waits_for"], waiting["missing_rate_of"]) == ("held", "rate", "images")
    assert waiting["unit"] is None
    nothing = {"part_of": None, "charged": None, "rate": None, "credits": None}
    assert waiting["quantities"] == [
        {"unit": "cached_input_tokens", "quantity": "512.000000", **nothing},
        {"unit": "images", "quantity": "0.500000", **nothing},
        {"unit": "input_tokens", "quantity": "812.000000", **nothing},
    ]


async def test_usage_with_several_quantities_of_an_unknown_organization_waits_for_it_first(
    api: Api, writer: Writer
) -> None:
    event = usage(feature_kind="model", feature="gpt", credits=None, quantities={"pages": "2"})
    await writer.count(event)
    receipt = await api.get(path_of(event))
    assert (receipt["waits_for"], receipt["missing_rate_of"]) == ("organization", None)
    await writer.learn(organization())
    assert (await api.get(path_of(event)))["waits_for"] == "rate"


async def test_receipt_of_corrected_usage_lists_its_corrections_and_theirs_name_it(api: Api, writer: Writer) -> None:
    await writer.learn(organization())
    at = now() - timedelta(hours=3)
    original = usage(envelope={"time": rfc3339(at), "id": "order 1/é"}, credits="5")
    other = usage(credits="7")
    later, sooner = (
        correction(original, credits, time=rfc3339(at + timedelta(minutes=minutes)))
        for credits, minutes in (("-2", 60), ("0.5", 30))
    )
    await writer.count(original, other, later, sooner, correction(other, "-7"))
    receipt = await api.get(path_of(original))
    assert (receipt["state"], receipt["credits"], receipt["credits_after_corrections"]) == (
        "corrected",
        "5.000000",
        "3.500000",
    )
    assert [(row["credits"], row["occurred_at"], row["offset"]) for row in receipt["corrections"]] == [
        ("0.500000", sooner["time"], 3),
        ("-2.000000", later["time"], 2),
    ]
    own = await api.get(path_of(later))
    assert (own["type"], own["state"], own["credits"], own["credits_after_corrections"]) == (
        "correction",
        "counted",
        "-2.000000",
        None,
    )
    assert (own["corrects"]["credits"], own["corrects"]["occurred_at"], own["corrects"]["offset"]) == (
        "5.000000",
        original["time"],
        0,
    )
    assert own["counted_in"]["day"] == later["time"][:10]
    assert own["reason"] == "billed by mistake"
    assert [row["reason"] for row in receipt["corrections"]] == ["billed by mistake"] * 2
    assert (await api.get(path_of(other)))["credits_after_corrections"] == "0.000000"


async def test_receipt_of_a_rejected_event_says_why(api: Api, writer: Writer, pool: Pool) -> None:
    await writer.learn(organization(), organization("org_other"))
    unreadable = usage(product="telephone")
    twice = usage(credits="5", envelope={"id": "twice"})
    too_much = correction(twice, "-6")
    await writer.count(unreadable, twice, {**twice, "data": {**twice["data"], "credits": "6"}}, too_much)
    receipt = await api.get(path_of(unreadable))
    assert (receipt["state"], receipt["credits"], receipt["counted_in"]) == ("rejected", None, None)
    [rejection] = receipt["rejections"]
    assert (rejection["pointer"], rejection["topic"], rejection["offset"]) == ("/data/product", TOPIC, 0)
    counted = await api.get(path_of(twice))
    assert (counted["state"], counted["credits"]) == ("counted", "5.000000")
    assert [(at["offset"], at["pointer"]) for at in counted["rejections"]] == [(2, "/id")]
    [rejection] = (await api.get(path_of(too_much)))["rejections"]
    assert rejection["reason"] == "original plus corrections would fall below 0"
    for event in (unreadable, too_much):
        assert (await api.ask(path_of(event), organization="org_other")).status_code == 404
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(SQL["act_for"], "org_other")
        assert await connection.fetch("SELECT reason FROM dead_letter_outbox") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT value FROM dead_letter_outbox")


@pytest.mark.parametrize(
    ("stored", "zone", "waits_for"),
    [
        ("organization", None, "organization"),
        ("organization", "UTC", "rate"),  # the organization's catalog event has arrived since
        ("rate", "UTC", "rate"),
        ("original", "UTC", "original"),
    ],
)
async def test_receipt_of_held_usage_says_what_it_waits_for(
    api: Api, db: TableRows, stored: str, zone: str | None, waits_for: str
) -> None:
    acme = await db.organization(time_zone=zone)
    series = await db.series(acme, "assistant", "model", "gpt", surface="")
    identity = UUID(bytes=identity_of("org_acme", "/products/test", "e1"))
    bucket = bucket_of("e1", identity.bytes)
    corrects = UUID(bytes=identity_of("org_acme", "/products/test", "e0")) if waits_for == "original" else None
    await db.execute(
        "INSERT INTO usage_ledger (ledger_bucket, identity, organization_id, series_id, occurred_at, credits, received_at,"
        " kafka_offset, kafka_partition, held, quantity, corrects_bucket, corrects)"
        " VALUES ($1, $2, $3, $4, now(), 0, now(), 7, 3, true, 5000000, $5, $6)",
        bucket, identity, acme, series, corrects and -1, corrects,
    )  # fmt: skip
    await db.execute(
        "INSERT INTO usage_held (ledger_bucket, identity, organization_id, series_id, occurred_at, received_at, quantity, unit,"
        " kafka_partition, kafka_offset, waits_for) VALUES ($1, $2, $3, $4, now(), now(), 5000000, 'tokens', 3, 7, $5)",
        bucket, identity, acme, series, stored,
    )  # fmt: skip
    receipt = await api.get("/api/v1/receipt?source=/products/test&id=e1")
    assert (receipt["state"], receipt["waits_for"], receipt["time_zone"]) == ("held", waits_for, zone)
    assert (receipt["partition"], receipt["offset"], receipt["surface"], receipt["agent"]) == (3, 7, None, None)
    assert (receipt["quantity"], receipt["unit"]) == ("5.000000", "tokens")
    for name in ("credits", "credits_after_corrections", "rate", "counted_in", "corrects"):
        assert receipt[name] is None, name


async def test_another_organizations_event_is_unknown_also_to_one_who_knows_its_identity(
    api: Api, writer: Writer, pool: Pool
) -> None:
    await writer.learn(organization(), organization("org_other"))
    event = usage()
    await writer.count(event)
    assert (await api.get(path_of(event)))["state"] == "counted"
    answer = await api.ask(path_of(event), organization="org_other")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-event")
    unknown = await api.ask("/api/v1/receipt?source=/products/test&id=never", organization="org_other")
    assert unknown.json() == answer.json()
    identity = identity_of("org_acme", event["source"], event["id"])
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(SQL["act_for"], "org_other")
        for number in (1, 2):
            key = (number, bucket_of(event["id"], identity), UUID(bytes=identity))
            assert await connection.fetch(SQL["select_receipt"], *key) == []


@pytest.mark.parametrize("days", [-900, 300])
async def test_an_id_of_a_far_day_has_a_receipt_too(api: Api, writer: Writer, days: int) -> None:
    await writer.learn(organization())
    event = usage(envelope={"id": uuid7(now() + timedelta(days=days))})
    change = correction(event, "-0.25")
    await writer.count(event, change)
    receipt = await api.get(path_of(event))
    assert (receipt["state"], receipt["credits_after_corrections"]) == ("corrected", "0.750000")
    assert len(receipt["corrections"]) == 1
    assert (await api.get(path_of(change)))["corrects"]["credits"] == "1.000000"


@pytest.mark.parametrize(
    "query", ["", "source=a", "id=a", "source=&id=a", "source=a&id=", f"source=a&id={'x' * 129}", "source=a&id=b&c=d"]
)
async def test_a_receipt_needs_a_source_and_an_id(api: Api, db: TableRows, query: str) -> None:
    await db.organization()
    answer = await api.ask(f"/api/v1/receipt?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-parameter")


@pytest.mark.parametrize("event_id", ["a", "0198f6c2-0000-7000-8000-000000000000"])
async def test_a_receipt_reads_one_partition_of_the_ledger(db: TableRows, pool: Pool, event_id: str) -> None:
    await db.organization()
    identity = identity_of("org_acme", "/products/test", event_id)
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(SQL["act_for"], "org_acme")
        key = (1, bucket_of(event_id, identity), UUID(bytes=identity))
        [[plan]] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {SQL['select_receipt']}", *key)
    ledger = [node for node in nodes_of(json.loads(plan)[0]["Plan"]) if node.get("Alias") == "l"]
    assert [node["Node Type"] for node in ledger] == ["Index Scan"]
    assert "identity" in ledger[0]["Index Cond"]


async def test_corrections_are_found_by_their_index_alone(db: TableRows, pool: Pool) -> None:
    await db.organization()
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(SQL["act_for"], "org_acme")
        await connection.execute("SET LOCAL enable_seqscan = off")  # on empty partitions every plan has the same cost
        [[plan]] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {SQL['select_corrections']}", 1, -1, UUID(int=1))
    scans = [
        node
        for node in nodes_of(json.loads(plan)[0]["Plan"])
        if "Relation Name" in node and "ledger" in node["Relation Name"]
    ]
    assert scans
    assert all("corrects = " in node.get("Index Cond", "") or node["Node Type"] == "Bitmap Heap Scan" for node in scans)


def nodes_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", []) for node in nodes_of(part))]


@pytest.mark.parametrize(
    ("zone", "at", "quarter", "day"),
    [
        ("UTC", "10:14", "10:00", "2026-11-22"),
        ("UTC", "10:15", "10:15", "2026-11-22"),
        ("Asia/Kathmandu", "18:14", "18:00", "2026-11-22"),
        ("Asia/Kathmandu", "18:15", "18:15", "2026-11-23"),
        ("America/St_Johns", "03:29", "03:15", "2026-11-21"),
        ("America/St_Johns", "03:30", "03:30", "2026-11-22"),
    ],
)
def test_an_event_counts_in_the_quarter_of_an_hour_and_the_day_that_has_it(
    zone: str, at: str, quarter: str, day: str
) -> None:
    place = event_buckets(local("UTC", "2026-11-22", at), zone)
    assert (place.quarter_hour_at, str(place.day)) == (local("UTC", "2026-11-22", quarter), day)


async def test_counted_usage_of_a_run_leads_from_its_list_to_its_receipts(api: Api, writer: Writer) -> None:
    await writer.learn(organization())
    at = now() - timedelta(minutes=10)
    uses = [
        usage(
            envelope={"time": rfc3339(at + timedelta(seconds=number))}, product="agents", credits=f"{number + 1}",
            actor={"id": "user-1", "kind": "user"}, group="platform", run={"id": "run 1/é", "parent_id": "above"},
        )
        for number in range(3)
    ]  # fmt: skip
    await writer.count(*uses)
    await writer.count(correction(uses[1], "-0.5"))
    [row] = (await api.get("/api/v1/usage/runs?range=all"))["rows"]
    assert (row["id"], row["credits"], row["events"], row["actor"]["id"]) == ("run 1/é", "5.500000", 3, "user-1")
    run = await api.get(f"/api/v1/usage/runs/{quote(row['id'], safe='')}")
    assert [(use["credits"], use["corrections"]) for use in run["uses"]] == [
        ("1.000000", "0.000000"), ("2.000000", "-0.500000"), ("3.000000", "0.000000"),
    ]  # fmt: skip
    assert run["rest"] == {"credits": "0.000000", "events": 0}
    receipt = await api.get(f"/api/v1/receipt?key={run['uses'][1]['receipt']}")
    assert receipt == await api.get(path_of(uses[1])) | {"source": None, "id": None}
    assert (receipt["group"]["id"], receipt["run"]["parent_id"]) == ("platform", "above")
    mine = await api.get("/api/v1/me/usage?range=all", role="member")
    assert (mine["credits"], mine["events"], mine["runs"][0]["credits"]) == ("5.500000", 3, "5.500000")
