"""One batch in one transaction: counted, held and refused events, and no event counted twice."""

import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aggregator.db.catalog_cache import Catalog, StaleCatalog
from aggregator.db.progress import OffsetGap
from aggregator.domain.columns.heads import Heads
from aggregator.domain.decode import Kind, attributions_of, empty_batch, read
from aggregator.domain.rollup import Decision, Organization, Rollups, decide, empty_rollups, fold
from flexcredits_schemas.identity import FIRST_WINS_HEADER
from hypothesis import given
from hypothesis import strategies as st
from support.data.factories import FakeRecord, correction, organization, rate, records, rfc3339, usage
from support.data.random_log import random_log
from support.infra.stack import Database
from support.services.aggregator import Aggregator, canonical


@pytest.fixture(params=[False, True], ids=["exact path", "columns"])
async def aggregator(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        yield Aggregator(pool, Heads() if request.param else None)


async def test_usage_counts_in_every_total(aggregator: Aggregator) -> None:
    await aggregator.learn(organization(), rate())
    await aggregator.count(
        records([usage(credits="1.25"), usage(feature_kind="model", feature="gpt", quantity="5213", unit="tokens")])
    )
    assert await aggregator.total() == 1_250_000 + 5_213_000
    assert await aggregator.progress() == [{"next_offset": 2, "counted": 2, "duplicate": 0, "rejected": 0, "held": 0}]


async def test_replayed_batch_counts_once(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    batch = records([usage(), usage(), usage()])
    await aggregator.count(batch)
    outcome = await aggregator.count(batch)
    assert outcome.replayed == 3
    await aggregator.count(records([usage()], first=3))
    await aggregator.count(batch[1:])
    assert await aggregator.total() == 4_000_000


async def test_resent_event_is_a_duplicate_wherever_it_comes(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    first = usage()
    await aggregator.count(records([first, first]), records([first], partition=1))
    await aggregator.count(records([first], first=2))
    assert await aggregator.total() == 1_000_000
    assert sum(row["duplicate"] for row in await aggregator.progress()) == 3


async def test_other_payload_under_the_same_id_is_dead_lettered(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    first = usage(credits="1")
    await aggregator.count(records([first, {**first, "data": {**first["data"], "credits": "2"}}]))
    assert await aggregator.total() == 1_000_000
    row = await aggregator.pool.fetchrow("SELECT reason, pointer, kafka_offset FROM dead_letter_outbox")
    assert row is not None
    assert (row["pointer"], row["kafka_offset"]) == ("/id", 1)


TOKENS: dict[str, Any] = {"feature_kind": "model", "feature": "gpt", "quantity": "2000", "unit": "tokens"}
TIME = datetime.now(UTC).replace(microsecond=123_456)
FIRSTS: dict[str, dict[str, Any]] = {
    "credits": usage(credits="2", envelope={"id": "e1", "time": rfc3339(TIME)}),
    "quantity": usage(**TOKENS, envelope={"id": "e1", "time": rfc3339(TIME)}),
    "correction": correction(usage(envelope={"id": "e0"}), "0.5", id="e1", time=rfc3339(TIME)),
}
OTHERS: dict[str, dict[str, Any]] = {
    "amount": {"data": {"credits": "3"}},
    "quantity": {"data": {"quantity": "2000.000001"}},
    "unit": {"data": {"unit": "characters"}},
    "millisecond": {"time": rfc3339(TIME + timedelta(milliseconds=1))},
    "series": {"data": {"surface": "desktop"}},
    "original": {"data": {"corrects": {"source": "/products/test", "id": "e2"}}},
}
CONFLICTS = [
    ("credits", "amount"), ("credits", "millisecond"), ("credits", "series"), ("quantity", "quantity"), ("quantity", "unit"),
    ("quantity", "millisecond"), ("quantity", "series"), ("correction", "amount"), ("correction", "millisecond"),
    ("correction", "original"),
]  # fmt: skip


def changed(event: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return {**event, **change, "data": {**event["data"], **change.get("data", {})}}


@pytest.mark.parametrize("known", [True, False], ids=["counted", "held"])
@pytest.mark.parametrize("batches", [1, 2, 3], ids=["in one batch", "in two", "after its release"])
@pytest.mark.parametrize(("kind", "other"), CONFLICTS)
async def test_a_copy_that_differs_is_a_conflict(
    aggregator: Aggregator, kind: str, other: str, batches: int, known: bool
) -> None:
    """Equal copies, also of another microsecond, are duplicates, wherever the first one is."""
    first, catalog = FIRSTS[kind], (organization(), rate(), rate(unit="characters"))
    later = {**first, "time": rfc3339(TIME.replace(microsecond=123_999))}
    sent = [usage(envelope={"id": "e0"}), usage(envelope={"id": "e2"}), first, changed(first, OTHERS[other]), later]
    if known:
        await aggregator.learn(*catalog)
    log = records(sent)
    if batches == 1:
        outcome = await aggregator.count(log)
    else:
        await aggregator.count(log[:3])
        if batches == 3:
            if not known:
                await aggregator.learn(*catalog)
            await aggregator.release()
        outcome = await aggregator.count(log[3:])
    assert [at.record.offset for at in outcome.rejections] == [3]
    assert [(at.kind, at.pointer) for at in outcome.rejections] == [(Kind.CONFLICT, "/id")]
    assert outcome.duplicate_number == 1


@pytest.mark.parametrize("known", [True, False], ids=["counted", "held"])
@pytest.mark.parametrize("batches", [1, 2], ids=["in one batch", "in two"])
async def test_a_copy_whose_header_says_that_the_first_wins_is_a_duplicate(
    aggregator: Aggregator, batches: int, known: bool
) -> None:
    """The header of the later event decides, and changes nothing of what was counted first."""
    if known:
        await aggregator.learn(organization())
    first = FIRSTS["credits"]
    other = changed(first, OTHERS["amount"])
    log = records([first, other, other, changed(first, OTHERS["millisecond"])])
    for record in log[2:]:
        record.headers = (("content-type", b"application/cloudevents+json"), FIRST_WINS_HEADER)
    outcomes = [await aggregator.count(part) for part in ([log] if batches == 1 else [log[:1], log[1:]])]
    assert [(at.record.offset, at.kind) for at in outcomes[-1].rejections] == [(1, Kind.CONFLICT)]
    assert outcomes[-1].duplicate_number == 2
    dispositions = (await aggregator.progress())[0]
    assert (dispositions["counted"] + dispositions["held"], dispositions["duplicate"], dispositions["rejected"]) == (
        1,
        2,
        1,
    )


@pytest.mark.parametrize("batches", [1, 2], ids=["in one batch", "in two"])
async def test_a_copy_whose_first_one_wins_need_not_be_ratable(aggregator: Aggregator, batches: int) -> None:
    """It is a dead letter only if no event before it has its identity."""
    await aggregator.learn(organization(), rate(credits="1000000", per="1"))
    first = usage(**{**TOKENS, "quantity": "5"})
    beyond = changed(first, {"data": {"quantity": "5000"}})
    log = records([beyond, first, beyond, usage(**{**TOKENS, "quantity": "5000"})])
    for record in log:
        record.headers = (FIRST_WINS_HEADER,)
    outcomes = [await aggregator.count(part) for part in ([log] if batches == 1 else [log[:2], log[2:]])]
    rejected = [(at.record.offset, at.kind) for outcome in outcomes for at in outcome.rejections]
    assert rejected == [(0, Kind.RATE), (3, Kind.RATE)]
    dispositions = (await aggregator.progress())[0]
    assert (dispositions["counted"], dispositions["duplicate"], dispositions["rejected"]) == (1, 1, 2)


async def test_credits_and_a_quantity_under_one_id_are_a_conflict(aggregator: Aggregator) -> None:
    await aggregator.learn(organization(), rate())
    first = usage(**TOKENS)
    data = {**first["data"], "credits": "2", "quantity": None, "unit": None}
    other = {**first, "data": {name: value for name, value in data.items() if value is not None}}
    assert await aggregator.count(records([first, other])) is not None
    assert [row["rejected"] for row in await aggregator.progress()] == [1]


async def test_same_amount_in_other_words_is_no_conflict(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    first = usage(credits="1.250000")
    await aggregator.count(records([first, {**first, "data": {**first["data"], "credits": 1.25}}]))
    assert (await aggregator.progress())[0]["duplicate"] == 1


async def test_gap_stops_and_counts_nothing(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    await aggregator.count(records([usage()]))
    with pytest.raises(OffsetGap, match="expects offset 1, Kafka delivers 2"):
        await aggregator.count(records([usage()], first=2))
    assert await aggregator.total() == 1_000_000


async def test_losing_one_partition_keeps_the_others_work(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    lost, kept = records([usage(), usage()], partition=0), records([usage(), usage()], partition=1)
    await aggregator.count(lost)  # the new owner applied it first
    outcome = await aggregator.count(lost, kept)
    assert outcome.replayed == 2
    assert outcome.counted_number == 2
    assert await aggregator.total() == 4_000_000


async def test_held_until_organization_and_rate_arrive(aggregator: Aggregator) -> None:
    tokens = usage(feature_kind="model", feature="gpt", quantity="2000", unit="tokens")
    await aggregator.count(records([usage(), tokens]))
    assert await aggregator.total() == 0
    assert (await aggregator.progress())[0]["held"] == 2
    await aggregator.learn(organization())
    assert await aggregator.release() == 1
    assert await aggregator.total() == 1_000_000
    await aggregator.learn(rate())
    assert await aggregator.release() == 1
    assert await aggregator.release() == 0
    assert await aggregator.total() == 3_000_000
    assert await aggregator.progress() == [{"next_offset": 2, "counted": 2, "duplicate": 0, "rejected": 0, "held": 0}]
    assert await aggregator.pool.fetchval("SELECT count(*) FROM usage_held") == 0


async def test_held_event_sent_again_is_a_duplicate(aggregator: Aggregator) -> None:
    first = usage()
    await aggregator.count(records([first]))
    await aggregator.count(records([first], first=1))
    await aggregator.learn(organization())
    await aggregator.release()
    assert await aggregator.total() == 1_000_000


async def test_batch_decided_with_an_old_catalog_is_decided_again(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    stale = aggregator.catalog
    aggregator.catalog = Catalog()
    aggregator.catalog.version, aggregator.catalog.organizations = stale.version, dict(stale.organizations)
    await aggregator.learn(rate())
    aggregator.catalog = stale
    with pytest.raises(StaleCatalog):
        await aggregator.count(records([usage(feature_kind="model", feature="gpt", quantity="1", unit="tokens")]))
    assert (await aggregator.progress())[0]["next_offset"] == 0


async def test_correction_counts_in_its_own_day_and_never_below_zero(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    yesterday = rfc3339(datetime.now(UTC) - timedelta(days=1))
    original = usage(credits="5", envelope={"time": yesterday})
    await aggregator.count(records([original, correction(original, "-3"), correction(original, "-2.5")]))
    assert await aggregator.total() == 2_000_000
    days = await aggregator.pool.fetch("SELECT credits, events FROM usage_daily ORDER BY day")
    assert [tuple(row) for row in days] == [(5_000_000, 1), (-3_000_000, 0)]
    reason = await aggregator.pool.fetchval("SELECT reason FROM dead_letter_outbox")
    assert reason == "original plus corrections would fall below 0"


async def test_correction_before_its_original_waits(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    original = usage(credits="5")
    undo = correction(original, "-5")
    await aggregator.count(records([undo], partition=1))
    assert (await aggregator.progress())[0]["held"] == 1
    await aggregator.count(records([original, undo]))
    assert await aggregator.release() == 1
    assert await aggregator.total() == 0
    assert sum(row["duplicate"] for row in await aggregator.progress()) == 1


async def test_held_correction_that_can_never_count_is_dead_lettered_with_its_bytes(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    original = usage(credits="5")
    batch = records([correction(original, "-6")], partition=1)
    await aggregator.count(batch)
    await aggregator.count(records([original]))
    await aggregator.release()
    row = await aggregator.pool.fetchrow("SELECT value, partition, kafka_offset FROM dead_letter_outbox")
    assert row is not None
    sent = batch[0] if aggregator.heads is None else canonical(batch[0])
    assert tuple(row) == (sent.value, 1, 0)
    assert [row["rejected"] for row in await aggregator.progress()] == [0, 1]
    assert await aggregator.total() == 5_000_000


async def test_correction_that_was_held_and_rejected_may_be_sent_again(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    original = usage(credits="5")
    too_much = correction(original, "-6")
    await aggregator.count(records([too_much], partition=1))
    await aggregator.count(records([original]))
    await aggregator.release()
    again = {**too_much, "data": {**too_much["data"], "reason": "a second check"}}
    await aggregator.count(records([correction(original, "2"), again], first=1))
    assert await aggregator.total() == 1_000_000
    reasons = await aggregator.pool.fetch(
        "SELECT reason FROM correction_reasons JOIN usage_ledger USING (ledger_bucket, identity) WHERE credits < 0"
    )
    assert [row["reason"] for row in reasons] == ["a second check"]


async def test_correction_with_other_dimensions_is_refused(aggregator: Aggregator) -> None:
    await aggregator.learn(organization())
    original = usage(credits="5")
    wrong = correction({**original, "data": {**original["data"], "feature": "other"}}, "-1")
    wrong["data"]["corrects"]["id"] = original["id"]
    await aggregator.count(records([original, wrong]))
    assert (
        await aggregator.pool.fetchval("SELECT reason FROM dead_letter_outbox")
        == "the dimensions differ from the original's"
    )


@pytest.mark.parametrize(
    "poison",
    [
        None,
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 5000,
        b"null",
        b'{"type":"flexcredits.usage.v1"}',
        b'{"type":"flexcredits.nonsense.v9"}',
        b'{"type":"a\\u0000b"}',
        b'{"type":"' + b"x" * 5000 + b'"}',
    ],
)
async def test_poison_is_dead_lettered_and_its_neighbours_count(aggregator: Aggregator, poison: bytes | None) -> None:
    await aggregator.learn(organization())
    await aggregator.count(records([usage(), poison, usage()]))
    assert await aggregator.total() == 2_000_000
    row = await aggregator.pool.fetchrow("SELECT value, kafka_offset FROM dead_letter_outbox")
    assert row is not None
    assert tuple(row) == (poison, 1)


async def test_foreign_headers_and_keys_are_kept_as_they_came(aggregator: Aggregator) -> None:
    record = FakeRecord(b"{", 0, key=b"\xff\x00", headers=[("na\x00me", b"\xff"), ("none", None)])  # type: ignore[list-item]
    await aggregator.count([record])
    row = await aggregator.pool.fetchrow("SELECT key, headers FROM dead_letter_outbox")
    assert row is not None
    assert row["key"] == record.key
    assert json.loads(row["headers"]) == [["na\x00me", "ff"], ["none", None]]


async def test_a_slip_in_a_rate_rejects_the_event_and_overflows_nothing(aggregator: Aggregator) -> None:
    tokens = {"feature_kind": "model", "feature": "gpt", "quantity": "900000000", "unit": "tokens"}
    await aggregator.count(records([usage(**tokens)]))  # held: rejected when it is released
    await aggregator.learn(organization(), rate(credits="999999999999", per="0.000001"))
    await aggregator.count(records([usage(**tokens), usage(credits="1")], first=1))
    await aggregator.release()
    assert await aggregator.total() == 1_000_000
    assert await aggregator.progress() == [{"next_offset": 3, "counted": 1, "duplicate": 0, "rejected": 2, "held": 0}]


async def test_days_are_the_organizations(aggregator: Aggregator) -> None:
    await aggregator.learn(organization("org_np", "Asia/Kathmandu"))  # +05:45
    at = (datetime.now(UTC) - timedelta(days=2)).replace(hour=18, minute=14, second=59, microsecond=999999)
    later = at + timedelta(microseconds=1)
    batch = [usage(envelope={"subject": "org_np", "time": rfc3339(moment)}) for moment in (at, later)]
    await aggregator.count(records(batch))
    days = [row["day"] for row in await aggregator.pool.fetch("SELECT day FROM usage_daily ORDER BY day")]
    assert days == [at.date(), at.date() + timedelta(days=1)]


async def test_zone_stays_once_usage_was_counted(aggregator: Aggregator) -> None:
    await aggregator.learn(organization(time_zone="Asia/Kathmandu"))
    await aggregator.learn(organization(time_zone="Europe/Berlin"))
    await aggregator.count(records([usage()]))
    await aggregator.learn(organization(time_zone="UTC"))
    assert (
        await aggregator.pool.fetchval("SELECT time_zone FROM organizations WHERE organization = 'org_acme'")
        == "Europe/Berlin"
    )


async def test_an_older_event_never_overwrites_a_newer_one(aggregator: Aggregator) -> None:
    newer = organization()
    newer["data"]["name"] = "New name"
    older = organization(time=rfc3339(datetime.now(UTC) - timedelta(hours=1)))
    await aggregator.learn(newer, older)
    assert (
        await aggregator.pool.fetchval("SELECT name FROM organizations WHERE organization = 'org_acme'") == "New name"
    )


async def test_any_slicing_and_repetition_of_the_log_gives_the_same_tables(aggregator: Aggregator) -> None:
    """Invariants 1 to 3 over a random log, cut and replayed at random, with catalog events in between."""
    chance = random.Random(7)
    log = random_log(chance)
    catalog_events = [[organization("org_a")], [rate()], [organization("org_b", "Asia/Kathmandu")]]
    position = dict.fromkeys(log, 0)
    while any(position[at] < len(log[at]) for at in log) or catalog_events:
        if catalog_events and chance.random() < 0.1:
            await aggregator.learn(*catalog_events.pop())
            await aggregator.release()
        batches = []
        for partition, held in log.items():
            start = max(0, position[partition] - chance.randint(0, 20))
            end = min(len(held), position[partition] + chance.randint(0, 30))
            if start < end:
                batches.append(held[start:end])
                position[partition] = max(position[partition], end)
        if batches:
            await aggregator.count(*batches)
    await aggregator.release()
    total, progress = await aggregator.total(), await aggregator.progress()
    assert [row["next_offset"] for row in progress] == [len(held) for held in log.values()]
    assert all(
        row["next_offset"] == row["counted"] + row["duplicate"] + row["rejected"] + row["held"] for row in progress
    )
    await aggregator.check_grains()
    await aggregator.count(*log.values())
    assert (await aggregator.total(), await aggregator.progress()) == (total, progress)
    await aggregator.check_grains()
    assert total > 0
    for table in ("usage_corrections", "usage_late"):
        assert await aggregator.pool.fetchval(f"SELECT count(*) FROM {table}") > 10
    assert await aggregator.pool.fetchval("SELECT count(DISTINCT hour_at) FROM partition_hours") > 3


def folded(decisions: list[Decision]) -> Rollups:
    rollups = empty_rollups()
    fold(decisions, rollups)
    return rollups


@given(st.permutations(list(range(12))), st.integers(0, 12))
def test_folding_parts_in_any_order_adds_up_to_the_whole(order: list[int], cut: int) -> None:

    catalog = Catalog(organizations={"org_acme": Organization(1, "UTC")})
    reading = empty_batch()
    uses = [
        usage(credits=f"{number + 1}", feature=f"f{number % 3}", actor={"id": f"p{number % 2}"} if number % 4 else None)
        for number in range(12)
    ]
    read(records(uses), reading)
    ids = {use.series: number for number, use in enumerate(reading.uses)}
    people = {at: number for number, at in enumerate(attributions_of(reading))}
    decisions = [decide(use, catalog.organizations, ids, catalog.card, people) for use in reading.uses]
    whole = folded(decisions)
    shuffled = [decisions[at] for at in order]
    first, second = folded(shuffled[:cut]), folded(shuffled[cut:])
    for table in ("quarters", "days", "organization_days", "attributed_days"):
        summed: dict[Any, list[int]] = {}
        for part in (getattr(first, table), getattr(second, table)):
            for key, (credits, events) in part.items():
                cell = summed.setdefault(key, [0, 0])
                cell[0] += credits
                cell[1] += events
        assert summed == getattr(whole, table)
    fold(shuffled[:cut], whole, -1)
    assert whole == second
