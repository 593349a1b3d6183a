"""Random histories through the aggregator: every view, range, split, page and export equals a small model's."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from support.clients.export_files import read_csv, read_file, read_parquet
from support.data.random_history import FIRST, NOW, PERIODS, catalog_events, random_history, the_rate
from support.infra.stack import Database
from support.invariants.reference_model import Counted, Model, Path, total
from support.services.aggregator import Aggregator
from support.services.query_api import Api

ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin", "Australia/Lord_Howe")
VIEWS = [
    ("assistant", "models", "model"), ("assistant", "tools", "tool"), ("assistant", "other_features", "feature"),
    ("agents", "agents", None), ("agents", "features", None), ("api", "namespaces", "namespace"),
]  # fmt: skip


@pytest.fixture
async def aggregator(database: Database) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        yield Aggregator(pool)


@pytest.fixture(params=ZONES)
async def known(request: pytest.FixtureRequest, aggregator: Aggregator) -> Model:
    """A history that the aggregator counted in overlapping pieces, with catalog events between them."""
    chance = random.Random(request.param)
    model, log = random_history(chance, request.param, 220)
    organization, *others = catalog_events(request.param)
    await aggregator.learn(organization)
    await aggregator.count_in_pieces(chance, log, others)
    await aggregator.learn(*the_rate())
    while await aggregator.release():
        pass
    await aggregator.count(*log.values())
    await aggregator.check_grains()
    return model


def micro(text: str) -> int:
    return int(Decimal(text).scaleb(6))


def leaves(rows: list[dict[str, Any]], above: Path = ()) -> dict[Path, tuple[int, int]]:
    found: dict[Path, tuple[int, int]] = {}
    for row in rows:
        path = (*above, (row["kind"], row["name"]))
        if row["rows"]:
            below = leaves(row["rows"], path)
            assert micro(row["credits"]) == sum(credits for credits, _ in below.values()), path
            assert row["events"] == sum(events for _, events in below.values()), path
            found |= below
        else:  # usage of a row without an agent has a row of its own
            found[above if row["name"] == "No agent" else path] = micro(row["credits"]), row["events"]
    return found


def not_empty(cells: dict[Path, tuple[int, int]]) -> dict[Path, tuple[int, int]]:
    """Without empty leaves: a leaf whose usage was fully taken back may be shown or not."""
    return {path: cell for path, cell in cells.items() if any(cell)}


def ranges(chance: random.Random) -> list[tuple[str, date, date]]:
    """Queries and their first and last days."""
    random_days = sorted(FIRST + timedelta(days=chance.randrange(75)) for _ in range(2))
    return [
        ("from=2026-09&to=2026-11", date(2026, 9, 1), date(2026, 11, 30)),
        ("from=2026-10&to=2026-10", date(2026, 10, 1), date(2026, 10, 31)),
        ("from=2026-10-25&to=2026-10-25", date(2026, 10, 25), date(2026, 10, 25)),
        ("from=2026-11-01&to=2026-11-01", date(2026, 11, 1), date(2026, 11, 1)),
        (f"from={random_days[0]}&to={random_days[1]}", *random_days),
        ("credit_period=p1", date(2026, 8, 15), date(2026, 10, 31)),
        ("credit_period=current", date(2026, 11, 1), date(2027, 1, 31)),
        ("range=all", date(2020, 1, 1), date(2030, 1, 1)),
    ]


def shown(model: Model, product: str, kind: str | None, first: date, last: date) -> list[Counted]:
    return model.within(first, last, keep=lambda use: use.product == product and kind in (None, use.kind))


async def test_every_view_of_every_range_is_the_models(api: Api, known: Model) -> None:
    for query, first, last in ranges(random.Random(1)):
        for product, view, kind in VIEWS:
            answer = await api.get(f"/api/v1/breakdown?product={product}&view={view}&{query}")
            uses = shown(known, product, kind, first, last)
            assert not_empty(leaves(answer["rows"])) == not_empty(known.leaves(view, uses)), (query, view)
            assert micro(answer["total"]) == total(uses) == sum(micro(row["credits"]) for row in answer["rows"])
            assert answer["events"] == sum(use.is_use for use in uses)


async def test_overview_is_the_sum_of_all_views_and_the_models(api: Api, known: Model) -> None:
    overview = await api.get("/api/v1/overview")
    in_period = known.within(date(2026, 11, 1), date(2027, 1, 31))
    assert micro(overview["credits_used"]) == total(in_period)
    assert micro(overview["contract_period_used"]) == total(known.within(date(2026, 8, 15), date(2027, 1, 31)))
    for row in overview["products"]:
        assert micro(row["used"]) == total(use for use in in_period if use.product == row["product"])
    views = [view for view in VIEWS if view[1] != "features"]
    answers = [await api.get(f"/api/v1/breakdown?product={product}&view={view}") for product, view, _ in views]
    assert sum(micro(answer["total"]) for answer in answers) == micro(overview["credits_used"])
    assert (await api.get("/api/v1/proof"))["credits"]["equal"] is True


async def test_parts_of_a_range_add_up_to_it(api: Api, known: Model) -> None:
    chance = random.Random(2)
    first, last = FIRST, NOW.date()
    for _ in range(6):
        cut = first + timedelta(days=chance.randrange((last - first).days))
        after = cut + timedelta(days=1)
        for product, view, _ in VIEWS:
            whole, left, right = [
                await api.get(f"/api/v1/breakdown?product={product}&view={view}&from={begin}&to={end}")
                for begin, end in ((first, last), (first, cut), (after, last))
            ]
            assert micro(whole["total"]) == micro(left["total"]) + micro(right["total"])
            assert whole["events"] == left["events"] + right["events"]


async def test_credit_periods_without_gaps_add_up_to_the_contract(api: Api, known: Model) -> None:
    totals = [
        micro((await api.get(f"/api/v1/breakdown?product={product}&view={view}&credit_period={period}"))["total"])
        for period, _, _ in PERIODS
        for product, view, _ in VIEWS
        if view != "features"
    ]
    assert sum(totals) == micro((await api.get("/api/v1/overview"))["contract_period_used"])


async def test_trends_are_the_models_bucket_by_bucket(api: Api, known: Model) -> None:
    first, last = date(2026, 9, 14), date(2026, 11, 21)
    uses = known.within(first, last)
    for interval in ("day", "week", "month"):
        for group_by in ("product", "surface"):
            query = f"from={first}&to={last}&interval={interval}&group_by={group_by}"
            answer = await api.get(f"/api/v1/trend?{query}")
            days = [
                (date.fromisoformat(at["days"]["from"]), date.fromisoformat(at["days"]["to"]))
                for at in answer["buckets"]
            ]
            assert [micro(at["total"]) for at in answer["buckets"]] == [total(known.within(*span)) for span in days]
            for series in answer["series"]:
                of = [
                    use
                    for use in uses
                    if (use.product if group_by == "product" else use.surface) == series["key"].rpartition("/")[2]
                ]
                by_bucket = [total(use for use in of if begin <= known.day(use) <= end) for begin, end in days]
                assert list(map(micro, series["credits"])) == by_bucket, (query, series["key"])
            assert micro(answer["total"]) == total(uses)
    for day in (date(2026, 10, 25), date(2026, 11, 1), date(2026, 10, 4)):
        answer = await api.get(f"/api/v1/trend?from={day}&to={day}&interval=hour")
        for bucket in answer["buckets"]:
            begin, end = (datetime.fromisoformat(bucket[edge]) for edge in ("start_at", "end_at"))
            assert micro(bucket["total"]) == total(use for use in known.counted if begin <= use.at < end), bucket
        assert micro(answer["total"]) == total(known.within(day, day))


async def test_files_are_the_models_and_their_corrections_stand_alone(api: Api, known: Model) -> None:
    for query, first, last in ranges(random.Random(3)):
        lines = read_csv((await api.ask(f"/api/v1/export/usage.csv?{query}")).text)
        uses = known.within(first, last)
        for line, is_use in (("usage", True), ("correction", False)):
            shown = Counter[tuple[str, ...]]()
            for row in lines:
                if row["line"] == line:
                    shown[
                        row["date"],
                        row["product"],
                        row["kind"],
                        row["feature"],
                        row["agent_id"],
                        row["surface"],
                        row["category"],
                    ] += micro(row["credits"])
            expected = Counter[tuple[str, ...]]()
            for use in uses:
                if use.is_use is is_use:
                    category = known.category(use) or ""
                    expected[
                        f"{known.day(use)}", use.product, use.kind, use.feature, use.agent, use.surface, category
                    ] += use.micro
            assert {key: value for key, value in shown.items() if value} == {
                key: value for key, value in expected.items() if value
            }
        assert sum(int(row["events"]) for row in lines) == sum(use.is_use for use in uses)
        assert {row["time_zone"] for row in lines} <= {known.zone.key}


def added(cells: Iterable[Any]) -> int:
    """The sum in micro-credits; lines that have no quantity are left out."""
    return micro(str(sum((Decimal(cell) for cell in cells if cell not in (None, "")), Decimal())))


async def test_every_format_and_dataset_adds_up_to_the_ledger(api: Api, known: Model) -> None:
    for query, first, last in ranges(random.Random(4)):
        expected = total(known.within(first, last))
        for path, column in (
            ("usage.csv?", "credits"), ("usage.parquet?", "credits"), ("focus.csv?", "PricingQuantity"),
            ("focus.csv?version=1.4&", "PricingQuantity"), ("focus.parquet?", "PricingQuantity"),
        ):  # fmt: skip
            lines = await read_lines(api, f"/api/v1/export/{path}{query}")
            usage = [line for line in lines if line.get("ChargeCategory", "Usage") == "Usage"]
            assert added(line[column] for line in usage) == expected, (path, query)
    everything = total(known.within(date(2020, 1, 1), date(2030, 1, 1)))
    of_periods = {
        f"c1/{name}": total(known.within(date.fromisoformat(begins), date.fromisoformat(ends) - timedelta(days=1)))
        for name, begins, ends in PERIODS
    }
    for file in ("focus.csv?version=1.4&range=all&dataset=", "focus.parquet?range=all&dataset="):
        periods = await read_lines(api, f"/api/v1/export/{file}billing-period")
        assert added(line["x_UsedCredits"] for line in periods) == everything
        invoices = await read_lines(api, f"/api/v1/export/{file}invoice-detail")
        usage = {line["InvoiceId"]: line["x_PricingQuantity"] for line in invoices if line["x_LineKind"] == "usage"}
        assert {invoice: added([credits]) for invoice, credits in usage.items()} == of_periods
        commitments = await read_lines(api, f"/api/v1/export/{file}contract-commitment")
        applied = {line["ContractCommitmentId"]: added([line["x_AppliedCredits"]]) for line in commitments}
        assert applied == of_periods
    overview = await api.get("/api/v1/overview")
    assert micro(overview["contract_period_used"]) == sum(of_periods.values())


async def read_lines(api: Api, path: str) -> list[dict[str, Any]]:
    return (await read_parquet(api, path)).to_pylist() if ".parquet" in path else await read_file(api, path)


async def test_pages_filters_and_todays_categories_are_the_models(api: Api, known: Model) -> None:
    first, last = date(2026, 9, 14), date(2026, 11, 22)
    for product, view, kind in VIEWS:
        path = f"/api/v1/breakdown?product={product}&view={view}&from={first}&to={last}"
        uses = shown(known, product, kind, first, last)
        whole = await api.get(path)
        rows, after = [], ""
        while True:
            page = await api.get(f"{path}&limit=2{after}")
            assert (page["total"], page["events"]) == (whole["total"], whole["events"])
            rows += page["rows"]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert rows == whole["rows"]
        for surface in ("web", ""):
            answer = await api.get(f"{path}&surface={surface}")
            of = [use for use in uses if use.surface == surface]
            assert not_empty(leaves(answer["rows"])) == not_empty(known.leaves(view, of))
        answer = await api.get(f"{path}&categories=now")
        assert not_empty(leaves(answer["rows"])) == not_empty(known.leaves(view, uses, as_now=True))
        by_surface = await api.get(f"{path}&group_by=surface")
        assert {row["id"]: micro(row["credits"]) for row in by_surface["rows"] if row["events"]} == {
            surface: total(use for use in uses if use.surface == surface)
            for surface in {use.surface for use in uses if use.is_use}
        }


async def test_reconciliation_starts_from_the_models_usage_and_corrections(api: Api, known: Model) -> None:
    for period, begins, ends in PERIODS:
        answer = await api.get(f"/api/v1/reconcile?credit_period={period}")
        lines = {line["kind"]: micro(line["credits"]) for line in answer["lines"]}
        uses = known.within(date.fromisoformat(begins), date.fromisoformat(ends) - timedelta(days=1))
        assert lines["usage"] == total(use for use in uses if use.is_use)
        assert lines["corrections"] == total(use for use in uses if not use.is_use)
        assert lines["feature_total"] == total(uses)
