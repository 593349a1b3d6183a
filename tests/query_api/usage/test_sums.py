"""Sums over ranges, which are read from monthly rollups where possible, compared with the sums of their days."""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from random import Random

import pytest
from flexcredits_schemas.events import PRODUCTS
from query_api.calendar import Days, split_at
from query_api.contracts.queries import sum_products
from query_api.db.cache import VersionedCache
from query_api.db.session import read_as
from query_api.usage.domain.series import SeriesColumns
from query_api.usage.product_days import sum_product_buckets
from query_api.usage.product_days import sum_products as sum_kept_products
from query_api.usage.queries import select_series, sum_series_usage
from query_api.usage.versions import select_usage_version
from runtime.postgres.pool import Pool
from support.data.table_rows import TOPIC, TableRows

BEGIN, DAYS = date(2025, 12, 20), 140


@pytest.mark.parametrize("seed", range(3))
async def test_sums_over_any_stretches_are_those_of_their_days(db: TableRows, pool: Pool, seed: int) -> None:
    random = Random(seed)
    acme, other = await db.organization(), await db.organization("org_other")
    used: list[tuple[date, int, int, int]] = []
    for _ in range(150):
        feature, day = f"f{random.randrange(12)}", BEGIN + timedelta(days=random.randrange(DAYS))
        credits, events = random.choice([random.randrange(-9, 10), random.randrange(10**12)]), random.randrange(3)
        series = await db.use(acme, "assistant", "tool", feature, str(day), credits, events=events)
        used.append((day, series, credits, events))
        await db.use(other, "assistant", "tool", feature, str(day), 1)
    await db.use(acme, "api", "namespace", "search", str(BEGIN), 7)
    async with read_as(pool, "org_acme", "") as session:
        all_of_them = await select_series(session, ["assistant"], ["tool"])
        few, rest = all_of_them.divide({series.feature for series in list(all_of_them.by_id.values())[:2]})
        for _ in range(60):
            first, last = sorted(BEGIN + timedelta(days=random.randrange(-9, DAYS + 9)) for _ in range(2))
            cuts = sorted(first + timedelta(days=random.randrange(90)) for _ in range(random.randrange(4)))
            stretches = split_at(Days(first, last), cuts)
            for picked in (all_of_them, few, rest):
                credits_by, events_by = Counter[tuple[date, int]](), Counter[tuple[date, int]]()
                for day, series, credits, events in used:
                    for stretch in stretches:
                        if stretch.first <= day <= stretch.last and series in picked.by_id:
                            credits_by[stretch.first, series] += credits
                            events_by[stretch.first, series] += events
                expected = {key: (credits, events_by[key]) for key, credits in credits_by.items()}
                sums = await sum_series_usage(session, picked, stretches)
                assert add_up(sums, set(picked.by_id)) == expected, stretches


@pytest.mark.parametrize("seed", range(2))
async def test_kept_days_of_products_add_up_as_in_postgres(db: TableRows, pool: Pool, seed: int) -> None:
    random, cache = Random(seed), VersionedCache()
    acme, other = await db.organization(), await db.organization("org_other")
    for round_number in range(4):
        for _ in range(20):
            product, day = random.choice(PRODUCTS), BEGIN + timedelta(days=random.randrange(DAYS))
            credits, events = random.choice([random.randrange(-9, 10), 10**17 // 100]), 1 + random.randrange(3)
            number = random.choice([acme, other])
            await db.use(number, product, "tool", "f", str(day), credits, events=events, partition=random.randrange(2))
        for name in ("org_acme", "org_other", "org_unknown"):
            async with read_as(pool, name, "") as session:
                version = await select_usage_version(session, TOPIC)
                for _ in range(12):
                    first, last = sorted(BEGIN + timedelta(days=random.randrange(-40, DAYS + 40)) for _ in range(2))
                    cuts = sorted(first + timedelta(days=random.randrange(90)) for _ in range(random.randrange(4)))
                    pieces = split_at(Days(first, last), cuts)
                    expected = await sum_products(session, *pieces)
                    assert await sum_kept_products(session, cache, version, *pieces) == expected, (round_number, pieces)
                    buckets = await sum_product_buckets(
                        session, cache, version, [piece.first for piece in pieces], last
                    )
                    assert [
                        {product: buckets[product][0][place] for product in PRODUCTS} for place in range(len(pieces))
                    ] == expected
                everything = [Days(date.min, date.max - timedelta(days=1))]
                assert await sum_kept_products(session, cache, version, *everything) == await sum_products(
                    session, *everything
                )


def add_up(sums: Mapping[date, SeriesColumns], picked: Collection[int]) -> dict[tuple[date, int], tuple[int, int]]:
    """Credits and events by first day and series; a series may occur several times, and others beside the picked ones."""
    added: dict[tuple[date, int], tuple[int, int]] = {}
    for first, columns in sums.items():
        for series, credits, events in columns.rows():
            if series in picked:
                before = added.get((first, series), (0, 0))
                added[first, series] = (before[0] + credits, before[1] + events)
    return added
