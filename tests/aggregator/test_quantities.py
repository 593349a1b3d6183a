"""Usage with several quantities: rated together, held until each unit has a rate, compared, corrected and rebuilt."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aggregator.domain.columns.heads import Heads
from aggregator.domain.decode import Kind
from aggregator.domain.rating import UnitRates, rate_quantities
from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.rating.card import Rate, RateCard
from support.data.factories import correction, organization, rate, records, rfc3339, usage
from support.infra.stack import Database
from support.invariants.rollups import check_rollups
from support.services.aggregator import Aggregator

TIME = datetime.now(UTC) - timedelta(hours=5)
CALL = {"input_tokens": "812", "cached_input_tokens": "512", "output_tokens": "96"}
UNITS = sorted(CALL)


def call(quantities: dict[str, str] = CALL, **envelope: Any) -> dict[str, Any]:
    return usage(
        feature_kind="model", feature="gpt", credits=None, quantities=quantities,
        envelope={"time": rfc3339(TIME), **envelope},
    )  # fmt: skip


def rates() -> list[dict[str, Any]]:
    """300 x 2/1000 + 512 x 0.5/1000 + 96 x 8/1000 = 1.624 credits."""
    return [
        rate("2", unit="input_tokens"),
        rate("0.5", unit="cached_input_tokens", part_of="input_tokens"),
        rate("8", unit="output_tokens"),
    ]


@pytest.fixture(params=[False, True], ids=["exact path", "columns"])
async def aggregator(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        yield Aggregator(pool, Heads() if request.param else None)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


async def ledger(here: Aggregator) -> list[tuple[Any, ...]]:
    """Micro-credits, whether it is held, quantities by unit with the units of their rates, of each row."""
    units = dict(await here.pool.fetch("SELECT rate_id, unit FROM rates"))
    rows = await here.pool.fetch(
        "SELECT credits, held, quantities, rate_id, quantity FROM usage_ledger ORDER BY kafka_offset"
    )
    assert all((row["rate_id"], row["quantity"]) == (None, None) for row in rows)
    return [
        (row["credits"], row["held"],
         {unit: (amount, units.get(number)) for unit, (amount, number) in json.loads(row["quantities"] or "{}").items()})
        for row in rows
    ]  # fmt: skip


async def test_an_event_with_several_quantities_is_counted_once_at_the_rates_of_all_units(
    aggregator: Aggregator, owner: asyncpg.Connection
) -> None:
    await aggregator.learn(organization(), *rates())
    counted = await aggregator.count(records([call(), usage()]))
    assert counted.counted_number == 2
    [row, plain] = await ledger(aggregator)
    assert row == (1_624_000, False, {unit: (int(CALL[unit]) * 1_000_000, unit) for unit in UNITS})
    assert plain == (1_000_000, False, {})
    assert await aggregator.pool.fetchval("SELECT sum(credits) FROM usage_daily") == 2_624_000
    await check_rollups(owner)


async def test_it_waits_for_each_unit_and_says_which(aggregator: Aggregator, owner: asyncpg.Connection) -> None:
    async def waiting() -> tuple[Any, ...]:
        return tuple(await owner.fetchrow("SELECT waits_for, unit, quantity, credits FROM usage_held") or ())

    events = [call()]
    assert (await aggregator.count(records(events))).counted_number == 0
    assert await waiting() == ("organization", None, None, None)
    await aggregator.learn(organization())
    assert await aggregator.release() == 0
    assert await waiting() == ("rate", "cached_input_tokens", None, None)
    of_input, of_cached, of_output = rates()
    await aggregator.learn(of_output)
    assert await aggregator.release() == 0
    assert await waiting() == ("rate", "cached_input_tokens", None, None)
    await aggregator.learn(of_cached)
    assert await aggregator.release() == 0
    assert await waiting() == ("rate", "input_tokens", None, None)
    [(credits, held, quantities)] = await ledger(aggregator)
    assert (credits, held, set(quantities.values())) == (0, True, {(int(CALL[unit]) * 10**6, None) for unit in UNITS})
    # A copy of held usage is a duplicate, another quantity is a conflict.
    other = {**events[0], "data": events[0]["data"] | {"quantities": CALL | {"output_tokens": "97"}}}
    again = await aggregator.count(records([*events, other], first=1))
    assert (again.duplicate_number, [at.kind for at in again.rejections]) == (1, [Kind.CONFLICT])
    await aggregator.learn(of_input)
    assert await aggregator.release() == 1
    assert await waiting() == ()
    [row] = await ledger(aggregator)
    assert row == (1_624_000, False, {unit: (int(CALL[unit]) * 1_000_000, unit) for unit in UNITS})
    await check_rollups(owner)


async def test_copies_are_compared_by_their_quantities(aggregator: Aggregator, owner: asyncpg.Connection) -> None:
    await aggregator.learn(organization(), *rates(), rate("1", unit="tokens"))
    first, second = call(), call({"input_tokens": "5", "output_tokens": "0"})
    data = first["data"]
    conflicts = [
        {**first, "data": data | {"quantities": CALL | {"output_tokens": "96.000001"}}},
        {**first, "data": data | {"quantities": {unit: CALL[unit] for unit in UNITS[:2]}}},
        {**first, "data": {k: v for k, v in data.items() if k != "quantities"} | {"credits": "1.624"}},
        {**first, "data": {k: v for k, v in data.items() if k != "quantities"} | {"quantity": "812", "unit": "tokens"}},
    ]
    copies = [
        {
            **first,
            "data": data | {"quantities": dict(reversed(CALL.items())) | {"output_tokens": "96.000", "images": 0}},
        },
        {**second, "data": second["data"] | {"quantities": {"input_tokens": 5}}},
    ]
    in_one_batch = await aggregator.count(records([first, second, conflicts[0], *copies]))
    assert (in_one_batch.counted_number, in_one_batch.duplicate_number) == (2, 2)
    assert [at.kind for at in in_one_batch.rejections] == [Kind.CONFLICT]
    later = await aggregator.count(records([*conflicts, *copies], first=5))
    assert (later.counted_number, later.duplicate_number) == (0, 2)
    assert [at.kind for at in later.rejections] == [Kind.CONFLICT] * 4
    single = usage(feature_kind="model", feature="gpt", quantity="5", unit="input_tokens")
    assert (await aggregator.count(records([single], first=11))).counted_number == 1
    together = {**single, "data": {k: v for k, v in single["data"].items() if k not in ("quantity", "unit")}}
    together["data"]["quantities"] = {"input_tokens": "5"}
    assert [at.kind for at in (await aggregator.count(records([together], first=12))).rejections] == [Kind.CONFLICT]


async def test_it_can_be_corrected(aggregator: Aggregator, owner: asyncpg.Connection) -> None:
    await aggregator.learn(organization(), *rates())
    original = call()
    without = {**original, "data": {k: v for k, v in original["data"].items() if k != "quantities"}}
    await aggregator.count(records([original]))
    result = await aggregator.count(records([correction(without, "-1.624"), correction(without, "-0.000001")], first=1))
    assert (result.counted_number, [at.kind for at in result.rejections]) == (1, [Kind.CORRECTION])
    assert await aggregator.pool.fetchval("SELECT sum(credits) FROM usage_daily") == 0
    await check_rollups(owner)


async def test_a_part_above_its_whole_is_rejected_also_when_it_was_held(
    aggregator: Aggregator, owner: asyncpg.Connection
) -> None:
    of_input, *others = rates()
    await aggregator.learn(organization(), *others)
    wrong = call(CALL | {"input_tokens": "511.999999"})
    await aggregator.count(records([wrong]))
    await aggregator.learn(of_input)
    assert await aggregator.release() == 0
    again = await aggregator.count(records([{**wrong, "id": "another"}], first=1))
    assert [at.kind for at in again.rejections] == [Kind.RATE]
    rows = await owner.fetch("SELECT pointer, reason FROM dead_letter_outbox")
    reason = "'cached_input_tokens', which 'input_tokens' includes, is more than 'input_tokens' itself"
    assert [tuple(row) for row in rows] == [("/data/quantities/input_tokens", reason)] * 2
    assert await ledger(aggregator) == []


async def test_rates_that_make_it_too_large_reject_it(aggregator: Aggregator) -> None:
    await aggregator.learn(organization(), rate("900000000000", "1", unit="images"), rate("1", unit="pages"))
    result = await aggregator.count(records([call({"images": "2", "pages": "1"})]))
    assert [(at.kind, at.pointer) for at in result.rejections] == [(Kind.RATE, "/data/quantities")]


NEVER = float("-inf")


def card_of(*rows: tuple[int, str, str, str, int, float, str | None]) -> RateCard:
    card = RateCard()
    for number, scope, feature, unit, credits, received, part_of in rows:
        card.add(
            [Rate(number, scope, "assistant", "model", feature, unit, credits, 1, NEVER, received, number, part_of)]
        )
    return card


SERIES = ("org", "assistant", "model", "gpt", "", "")


def test_each_unit_has_the_rate_that_is_in_effect_at_the_time_of_the_event() -> None:
    card = card_of(
        (1, "", "*", "a", 10, 100.0, None), (2, "org", "*", "a", 20, 200.0, "b"), (3, "", "*", "b", 1, 100.0, None),
        (4, "", "gpt", "b", 3, 300.0, None), (5, "org", "*", "b", 7, 400.0, None),
    )  # fmt: skip
    quantities = (("a", 2), ("b", 5))
    at = [rate_quantities(card, SERIES, quantities, occurred) for occurred in (150.0, 250.0, 350.0, 450.0)]
    assert at == [
        (2 * 10 + 5 * 1, UnitRates((1, 3), None)),
        (2 * 20 + 3 * 1, UnitRates((2, 3), None)),  # from 200 on the organization's rate says that a is part of b
        (2 * 20 + 3 * 3, UnitRates((2, 4), None)),
        (2 * 20 + 3 * 7, UnitRates((2, 5), None)),
    ]


def test_the_first_unit_without_a_rate_is_named() -> None:
    card = card_of((1, "", "*", "b", 1, 0.0, None))
    assert rate_quantities(card, SERIES, (("a", 1), ("b", 1), ("c", 1)), 9.0) == (0, UnitRates((), "a"))
    assert rate_quantities(card, SERIES, (("b", 1), ("c", 1)), 9.0) == (0, UnitRates((), "c"))


def test_the_pointer_escapes_the_unit() -> None:
    card = card_of((1, "", "*", "a/b", 1, 0.0, None), (2, "", "*", "c", 1, 0.0, "a/b"))
    with pytest.raises(InvalidEvent) as refused:
        rate_quantities(card, SERIES, (("a/b", 1), ("c", 2)), 9.0)
    assert refused.value.pointer == "/data/quantities/a~1b"
