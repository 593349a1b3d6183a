"""Parquet files: the lines of the CSV files with types, exact sums, exact texts, and no file that can be read if it is not whole."""

import io
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from query_api.calendar import Days
from query_api.exports.domain.cells import GUARDED
from query_api.exports.domain.focus import COST_PLACES, BillingAccount, focus_days, focus_labels
from query_api.exports.domain.kinds import Columns
from query_api.exports.domain.labels import Label
from query_api.exports.domain.table import TABLE_COLUMNS
from query_api.exports.focus import batches as focus_batches
from query_api.exports.focus.domain.charges import day_invoices, sku_details
from query_api.exports.focus.domain.columns import TABLES
from query_api.exports.formats.batches import TYPES, Batch, Keyed, constant, decimals, key_of, products, texts, typed
from query_api.exports.formats.files import CsvWriter, ParquetWriter
from query_api.exports.formats.lines import format_batch, format_decimals
from query_api.exports.formats.parquet import ROWS_AT_ONCE as ROWS_OF_A_GROUP
from query_api.exports.formats.rows import Rows
from query_api.exports.parts import ROWS_AT_ONCE
from query_api.exports.people.routes import PEOPLE_COLUMNS
from query_api.exports.usage import USAGE_COLUMNS, usage_batch
from support.clients.export_files import read_csv, read_file, read_parquet, special
from support.data.people_rows import actor, attribution, show, use_by
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

EXPORT = "/api/v1/export"
FILES: dict[str, tuple[str, Columns]] = {
    "usage": ("usage.{}?range=all", USAGE_COLUMNS),
    "usage of a product": ("usage.{}?range=all&product=agents&view=agents&surface=web", USAGE_COLUMNS),
    "by people": ("people.{}?range=all", PEOPLE_COLUMNS),
    "table": ("table.{}?product=agents&view=features&range=all", TABLE_COLUMNS),
    **{name: (f"focus.{{}}?version=1.4&range=all&dataset={name}", table.columns) for name, table in TABLES.items()},
    "people": ("focus.{}?version=1.4&range=all&split=people", TABLES["cost-and-usage"].columns),
}


def parquet_path(path: str) -> str:
    return f"{EXPORT}/{path.format('parquet').replace('version=1.4&', '')}"


async def fill(db: TableRows) -> None:
    acme = await special(db, "Asia/Kathmandu", "org_acme")
    await db.execute(
        "UPDATE contracts SET credit_price = 50001, overage_price = 75001, currency = 'USD', minimum_commitment = $1",
        40 * MICRO,
    )
    await db.contract(acme, "old", "2025-01-01", "2025-07-01", credit_price=3, currency="EUR", minimum_commitment=MICRO)
    await db.period(acme, "old", "p", "2025-01-01", "2025-07-01", api=7, add_ons=[(2, True), (3, False)])
    await db.use(acme, "api", "namespace", 'se"ar,ch', "2025-03-01", 4 * MICRO)
    await db.use(acme, "api", "namespace", "huge", "2025-03-02", 8 * 10**18)
    await db.use(acme, "api", "namespace", "huge", "2026-03-02", 8 * 10**18)
    await actor(db, acme, "u-1", "Ada", groups={"2026-01-01": ["ops"]})
    await show(db, acme, "named", label_keys=[])
    for who in (await attribution(db, acme, "u-1"), await attribution(db, acme, "bot", kind="service_account")):
        await use_by(db, acme, who, "agents", "tool", "jira", "2026-11-01", 4, agent="a1")


def cell(value: Any) -> str:
    """A value of Parquet as a cell of CSV."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        whole, _, rest = f"{value:f}".partition(".")
        return f"{whole}.{rest[:6]}{rest[6:].rstrip('0')}"
    return str(value)


@pytest.mark.parametrize("name", FILES)
async def test_a_parquet_file_has_the_lines_of_the_csv_file_with_types(api: Api, db: TableRows, name: str) -> None:
    await fill(db)
    path, columns = FILES[name]
    table = await read_parquet(api, parquet_path(path))
    assert table.schema.remove_metadata() == pa.schema([(column, TYPES[kind]) for column, kind in columns.items()])
    lines = await read_file(api, f"{EXPORT}/{path.format('csv')}")
    assert lines
    assert [{column: cell(value) for column, value in line.items()} for line in table.to_pylist()] == lines


@pytest.mark.parametrize("name", FILES)
async def test_an_empty_parquet_file_has_its_columns(api: Api, db: TableRows, name: str) -> None:
    await db.organization()
    path, columns = FILES[name]
    table = await read_parquet(api, parquet_path(path))
    assert (table.num_rows, table.column_names) == (0, list(columns))
    name = f"flexcredits_org_acme_2026-10-01_2026-11-30_{path.partition('.')[0]}"
    answer = await api.ask(parquet_path(path).replace("range=all", "from=2026-10&to=2026-11"))
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{name}')
    assert answer.headers["content-disposition"].endswith('.parquet"')


async def test_texts_are_exact_and_ids_stay_texts(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for feature in ("=1+1", "0012", "1e5", "@SUM(1)", "'quoted"):
        await db.use(acme, "api", "namespace", feature, "2026-11-01", 1)
    await db.feature(acme, "api", "namespace", "0012", "2026-01-01", "-Category", "+Name")
    table = await read_parquet(api, f"{EXPORT}/usage.parquet?range=all")
    assert sorted(table["feature"].to_pylist()) == ["'quoted", "0012", "1e5", "=1+1", "@SUM(1)"]
    assert ("+Name", "-Category") in {(line["feature_name"], line["category"]) for line in table.to_pylist()}
    await actor(db, acme, "=007", "=Ada", groups={"2026-01-01": ["@SUM(1)"]})
    await show(db, acme, "named", label_keys=[])
    await use_by(db, acme, await attribution(db, acme, "=007"), "api", "namespace", "0012", "2026-11-01", 4)
    people = await read_parquet(api, f"{EXPORT}/people.parquet?range=all")
    named = {
        (line["actor_id"], line["actor_name"], line["group_id"]) for line in people.to_pylist() if line["actor_id"]
    }
    assert named == {("=007", "=Ada", "@SUM(1)")}
    assert set(people["feature"].to_pylist()) == set(table["feature"].to_pylist())
    costs = await read_parquet(api, f"{EXPORT}/focus.parquet?range=all")
    assert set(costs["ResourceId"].to_pylist()) == set(table["feature"].to_pylist())


async def test_an_organization_of_groups_has_no_parquet_file_of_people(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await actor(db, acme, "u-1", "Ada", groups={"2026-01-01": ["ops"]})
    await use_by(db, acme, await attribution(db, acme, "u-1"), "agents", "tool", "jira", "2026-11-01", 4, agent="a1")
    for people in ("pseudonymous", "groups_only"):
        await show(db, acme, people, label_keys=[])
        for path in ("usage.parquet?range=all", "focus.parquet?range=all", "table.parquet?product=agents&view=agents"):
            assert "u-1" not in str((await read_parquet(api, f"{EXPORT}/{path}")).to_pylist())
        for path in ("focus.parquet?range=all&split=people", "people.parquet?range=all"):
            answer = await api.ask(f"{EXPORT}/{path}")
            if people == "groups_only":
                assert (answer.status_code, answer.json()["type"]) == (403, "/problems/people-not-shown")
            else:
                assert "u-1" not in str(pq.read_table(io.BytesIO(answer.content)).to_pylist())
    assert (await api.ask(f"{EXPORT}/usage.parquet?range=all&actor=u-1")).status_code in (403, 422)


async def test_parquet_has_no_marks_and_no_old_versions(api: Api, db: TableRows) -> None:
    await db.organization()
    for query in (
        "usage.parquet?bom=true",
        "focus.parquet?version=1.2",
        "table.parquet?product=api&view=namespaces&bom=true",
    ):
        assert (await api.ask(f"{EXPORT}/{query}")).status_code == 422, query


COLUMNS: Columns = {
    "text": "text", "other": "text", "cost": "cost", "credits": "credits", "day": "day", "at": "instant", "flag": "flag", "always": "text"
}  # fmt: skip
units = st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**9), 10**9) | st.sampled_from([0, 1, -1])


def batch_of(rows: list[tuple[int, int, str | None]], price: int) -> Batch:
    key = key_of(np.arange(len(rows), dtype=np.int32)[::-1])
    credits = np.array([row[0] for row in rows], np.int64)
    instants = texts("2026-11-01T00:00:00Z" if row[1] > 0 else None for row in rows).cast(TYPES["instant"])
    columns = {
        "text": Keyed(key, texts(row[2] for row in rows)),
        "other": texts(row[2] for row in rows),
        "cost": products(credits, [price], np.zeros(len(rows), np.int32)),
        "credits": decimals(credits, "credits"),
        "day": Keyed(key, pa.array([date.fromordinal(1 + abs(row[1]) % 10**6) for row in rows])),
        "at": Keyed(key, instants),
        "flag": Keyed(key, pa.array([row[1] > 0 for row in rows])),
        "always": constant("text", 'a "b", c'),
    }
    return Batch(len(rows), columns)


def read_written(writer: ParquetWriter, *parts: Any) -> Any:
    data = writer.begin() + b"".join(map(writer.add, parts)) + writer.end()
    return pq.read_table(io.BytesIO(data))


@given(
    st.lists(st.tuples(units, units, st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"))), min_size=1, max_size=6),
    st.integers(0, 10**18),
)  # fmt: skip
@example([(2**63 - 1, 1, None), (1 - 2**63, 1, None)], 10**18 - 1)  # more digits than decimal's context
def test_csv_and_parquet_of_a_batch_are_the_same_and_exact(rows: list[tuple[int, int, str | None]], price: int) -> None:
    batch, writer = batch_of(rows, price), CsvWriter(COLUMNS)
    lines = read_csv((writer.begin() + writer.add(batch)).decode())
    table = read_written(ParquetWriter(COLUMNS, {}), batch, batch)
    assert [{name: cell(value) for name, value in line.items()} for line in table.to_pylist()] == lines * 2
    for line, (credits, _, _) in zip(lines, rows, strict=True):
        assert Fraction(line["credits"]) == Fraction(credits, 10**6)
        assert Fraction(line["cost"]) == Fraction(credits * price, 10**COST_PLACES)


@given(st.lists(st.none() | st.integers(-(10**37), 10**37) | units, max_size=5))
def test_decimals_are_written_without_exponents(amounts: list[int | None]) -> None:
    values = pa.array([None if each is None else Decimal(each).scaleb(-12) for each in amounts], TYPES["cost"])
    found = format_decimals(values).to_pylist()
    assert [text or "" for text in found] == [cell(value) for value in values.to_pylist()]


def test_lines_as_text_become_typed_values() -> None:
    cells: Mapping[Any, str] = {
        "cost": "0.000000000001", "credits": "-1.000000", "count": "3", "flag": "true", "instant": "9999-12-31T00:00:00Z", "day": "2026-11-01",
    }  # fmt: skip
    for kind, text in cells.items():
        array = typed(kind, [text, None])
        assert (array.type, cell(array[0].as_py()) == text or kind == "cost", array[1].as_py()) == (
            TYPES[kind],
            True,
            None,
        )


def test_a_file_without_its_end_is_no_parquet_file() -> None:
    writer = ParquetWriter(COLUMNS, {})
    data = writer.begin() + writer.add(batch_of([(1, 1, "x")] * 40_000, 1))
    assert len(data) > 10_000  # a row group is written
    del writer
    with pytest.raises(pa.ArrowInvalid, match="Parquet magic bytes not found in footer"):
        pq.read_table(io.BytesIO(data))


async def test_a_day_of_many_series_is_sent_in_parts(api: Api, db: TableRows) -> None:
    acme, lines = await db.organization(), 2 * (ROWS_OF_A_GROUP // 2 + 4_000)
    await db.execute(
        "INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)"
        " SELECT $1, 'api', 'namespace', 'n' || n, '', 'web' FROM generate_series(1, $2::integer) AS n",
        acme, lines // 2,
    )  # fmt: skip
    await db.execute("INSERT INTO usage_daily SELECT $1, '2026-11-01', series_id, 2000001, 1 FROM usage_series", acme)
    await db.execute("INSERT INTO usage_corrections SELECT $1, '2026-11-01', series_id, -2, 1 FROM usage_series", acme)
    await db.execute("INSERT INTO usage_organization_daily VALUES ($1, '2026-11-01', 'api', 0, 1, 1)", acme)
    await db.execute("ANALYZE usage_series, usage_daily, usage_corrections")
    features = [feature for n in range(lines // 2) for feature in [f"n{n + 1}"] * 2]
    expected = list(zip(sorted(features), ["usage", "correction"] * lines, strict=False))
    sent = await read_file(api, f"{EXPORT}/usage.csv?range=all")
    assert [(line["feature"], line["line"]) for line in sent] == expected
    for path, name in (("usage.parquet", "feature"), ("focus.parquet", "x_Feature")):
        file = pq.ParquetFile(io.BytesIO((await api.ask(f"{EXPORT}/{path}?range=all")).content))
        assert file.read()[name].to_pylist() == [feature for feature, _ in expected]
        groups = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
        assert max(groups) < ROWS_OF_A_GROUP + ROWS_AT_ONCE, groups
        assert len(groups) > 1


def test_pieces_of_rows_have_the_same_lines_and_only_their_own_texts() -> None:
    days, count = Days(date(2026, 11, 1), date(2026, 11, 2)), 50
    labels = [
        Label(n, *days, "api", "namespace", None, f'c"{n}', f"f{n}", f"={n}", None, None, None, "web")
        for n in range(count)
    ]
    at = np.arange(count, dtype=np.int32)
    rows = Rows(
        np.repeat(np.arange(2, dtype=np.int32), count), np.tile(at, 2), np.tile(at % 2, 2), np.arange(2 * count), np.ones(2 * count, np.int64)
    )  # fmt: skip
    account = BillingAccount("org_acme", "Acme", "FlexCredits", "UTC")
    calendar = focus_days(days, "UTC", [], [])
    about = focus_labels(labels), list(map(sku_details, labels)), calendar, day_invoices(calendar, [], GUARDED), account

    def batches_of(some: Rows) -> tuple[Batch, Batch]:
        return usage_batch(some, days, labels, account), focus_batches.usage_batch(focus_batches.usage_of_rows(some), *about)  # fmt: skip

    pieces = list(rows.pieces(7))
    assert [len(piece.day) for piece in pieces] == [7] * 14 + [2]
    for whole, *parts in zip(batches_of(rows), *map(batches_of, pieces), strict=True):
        assert format_batch(whole) == b"".join(map(format_batch, parts))
        keyed = [column for part in parts for column in part.columns.values() if isinstance(column, Keyed)]
        assert max(len(column.values) for column in keyed) == 7
