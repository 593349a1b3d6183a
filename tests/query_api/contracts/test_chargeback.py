"""Lines of a reconciliation by person and group: the parts add up to each line exactly, in every mode of privacy."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.chargeback.domain.allot import divide_lines
from support.data.people_usage import PeopleRows
from support.data.table_rows import MICRO, TableRows
from support.services.query_api import Api

PATH = "/api/v1/reconcile/people"
LINES = ("feature_total", "within_available", "overage")


def micro(text: str) -> int:
    return int(text.replace(".", ""))


@given(
    st.lists(st.integers(-(10**6), 10**13) | st.integers(-(10**13), 10**13), min_size=1, max_size=50), st.integers(0, 10**14), st.none() | st.integers(0, 10**12)
)  # fmt: skip
def test_parts_are_in_proportion_and_add_up_to_the_lines(credits: list[int], beyond: int, due: int | None) -> None:
    total = sum(credits)
    overage = min(beyond, max(total, 0))
    parts = divide_lines(credits, overage, due)
    assert [part.credits for part in parts] == credits
    assert all(part.within_available + part.overage == part.credits for part in parts)
    assert sum(part.overage for part in parts) == overage
    for part in parts:
        if total > 0:
            assert abs(part.overage - Fraction(overage * part.credits, total)) < 1
        if due is None or total <= 0:
            assert part.amount is None
        else:
            assert part.amount is not None
            assert 0 <= part.amount <= due
            assert abs(part.amount - Fraction(due * max(0, part.credits), sum(max(0, own) for own in credits))) < 1
    if due is not None and total > 0:
        assert sum(part.amount or 0 for part in parts) == due


def test_a_correction_of_one_does_not_multiply_what_others_pay() -> None:
    assert [part.amount for part in divide_lines([1000, -999], 0, 1356)] == [1356, 0]


@pytest.fixture
async def acme(db: TableRows) -> PeopleRows:
    """100 credits of a past period, of which 40 are contracted, and usage after it. Each group has a group of three people."""
    rows = PeopleRows(db, await db.organization())
    await db.contract(
        rows.organization, "c1", "2026-06-15", "2026-12-15", overage_price=12_500, credit_price=10_000, currency="USD"
    )  # fmt: skip
    await db.period(rows.organization, "c1", "first", "2026-06-15", "2026-09-15", total=40)
    await db.period(rows.organization, "c1", "second", "2026-10-01", "2026-12-15", total=40)
    await rows.actor("ada-id", "Ada Lovelace")
    await rows.actor("gone-id", "Gone Person", removed=True)
    await rows.group("sales", "Sales")
    await rows.group("emea", "EMEA", "sales")
    await rows.member("ada-id", "2026-01-01", "sales")
    await rows.member("ada-id", "2026-08-15", "emea")
    await rows.use("ada-id", "2026-06-14", 1 * MICRO)
    await rows.use("ada-id", "2026-06-15", 20 * MICRO)
    await rows.use("ada-id", "2026-09-14", 25 * MICRO)
    await rows.use("bob-id", "2026-07-01", 30 * MICRO, group="emea")
    await rows.use("gone-id", "2026-07-01", 20 * MICRO)
    await rows.use("", "2026-07-01", 4 * MICRO)
    await rows.use("", "2026-07-01", 1 * MICRO, kind="other", labels={"": ""})
    await rows.use("bob-id", "2026-09-15", 3 * MICRO)
    return rows


def leaves(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        assert all(micro(row[line]) == sum(micro(inside[line]) for inside in row["rows"]) for line in ("credits", "overage")) or (
            not row["rows"]
        )  # fmt: skip
        yield from leaves(row["rows"]) if row["rows"] else [row]


async def check_sums(api: Api, answer: dict[str, Any], period: str) -> None:
    """Rows add up to the lines of the reconciliation."""
    reconciled = await api.get(f"/api/v1/reconcile{period}")
    lines = {line["kind"]: line["credits"] for line in reconciled["lines"]}
    assert {line: answer[line] for line in LINES} == {line: lines[line] for line in LINES}
    assert (answer["amount_due"], answer["currency"]) == (reconciled["amount_due"], reconciled["currency"])
    assert answer["credit_period"] == (reconciled["credit_period"] or {"key": None})["key"]
    parts = [*leaves(answer["rows"]), *leaves(answer["pinned"])]
    for line, name in (("feature_total", "credits"), ("within_available", "within_available"), ("overage", "overage")):
        assert sum(micro(part[name]) for part in parts) == micro(answer[line]), line
    assert sum(micro(part["amount"]) for part in parts) == micro(answer["amount_due"])


@pytest.mark.parametrize("by", ["person", "group", "group&membership=now"])
@pytest.mark.parametrize("period", ["?credit_period=first", "?credit_period=second", ""])
async def test_rows_add_up_to_each_line(api: Api, acme: PeopleRows, by: str, period: str) -> None:
    answer = await api.get(f"{PATH}{period or '?'}&by={by}")
    if period == "?credit_period=first":
        await check_sums(api, answer, period)
        assert answer["overage"] == "60.000000"
        return
    # Nothing was used, so the amount due is not divided.
    assert (answer["feature_total"], answer["rows"], answer["pinned"]) == ("0.000000", [], [])


async def test_each_row_pays_in_proportion_to_its_credits(api: Api, acme: PeopleRows) -> None:
    answer = await api.get(f"{PATH}?credit_period=first&by=person")
    shown = [
        (row["kind"], row["name"], row["credits"], row["within_available"], row["overage"], row["amount"])
        for row in (*answer["rows"], *answer["pinned"])
    ]
    # 40 contracted credits for 0.40 USD, and 60 of overage for 0.75 USD.
    assert answer["amount_due"] == "1.150000"
    assert shown == [
        ("person", "Ada Lovelace", "45.000000", "18.000000", "27.000000", "0.517500"),
        ("person", "bob-id", "30.000000", "12.000000", "18.000000", "0.345000"),
        ("removed", "Removed people", "20.000000", "8.000000", "12.000000", "0.230000"),
        ("other", "Other", "1.000000", "0.400000", "0.600000", "0.011500"),
        ("unattributed", "Unattributed", "4.000000", "1.600000", "2.400000", "0.046000"),
    ]


async def test_groups_are_a_tree(api: Api, acme: PeopleRows) -> None:
    [sales] = (await api.get(f"{PATH}?credit_period=first"))["rows"]
    assert [sales["credits"], sales["amount"]] == ["75.000000", "0.862500"]
    inside = [(row["kind"], row["id"], row["credits"], row["amount"]) for row in sales["rows"]]
    assert inside == [("group", "emea", "55.000000", "0.632500"), ("own", "sales", "20.000000", "0.230000")]
    [now] = (await api.get(f"{PATH}?credit_period=first&membership=now"))["rows"]
    assert [row["credits"] for row in now["rows"]] == ["75.000000"]


async def test_pages_have_each_row_once(api: Api, acme: PeopleRows) -> None:
    first = await api.get(f"{PATH}?credit_period=first&by=person&limit=1")
    second = await api.get(f"{PATH}?credit_period=first&by=person&limit=1&after={first['next']}")
    assert [row["id"] for row in (*first["rows"], *second["rows"])] == ["ada-id", "bob-id"]
    assert (first["pinned"], second["next"]) == (second["pinned"], None)


async def test_usage_between_credit_periods_is_overage(api: Api, acme: PeopleRows) -> None:
    api.now = api.now.replace(month=9, day=20)
    answer = await api.get(f"{PATH}?by=person")
    await check_sums(api, answer, "")
    assert [(row["id"], row["overage"], row["amount"]) for row in answer["rows"]] == [
        ("bob-id", "3.000000", "0.037500")
    ]


async def test_without_prices_there_are_no_amounts(api: Api, acme: PeopleRows) -> None:
    await acme.db.execute("UPDATE contracts SET credit_price = NULL, overage_price = NULL, currency = NULL")
    answer = await api.get(f"{PATH}?credit_period=first")
    assert {row["amount"] for row in (*answer["rows"], *answer["pinned"])} == {answer["amount_due"]} == {None}


async def test_aliases_are_shown_instead_of_names(api: Api, acme: PeopleRows) -> None:
    await acme.configure("pseudonymous")
    answer = await api.ask(f"{PATH}?credit_period=first&by=person")
    assert not [text for text in ("ada-id", "Ada", "bob-id", "gone-id", "Gone") if text in answer.text]
    assert answer.json()["rows"][0]["name"].startswith("Person ")
    await check_sums(api, answer.json(), "?credit_period=first")


async def test_only_groups_of_five_are_shown(api: Api, acme: PeopleRows) -> None:
    await acme.configure("groups_only")
    for refused in ("by=person", "by=group&membership=now"):
        answer = await api.ask(f"{PATH}?credit_period=first&{refused}")
        assert answer.status_code == 403, refused
    # Too few people used anything at all.
    assert (await api.ask(f"{PATH}?credit_period=first")).json()["type"] == "/problems/too-few-people"
    for number in range(6):
        await acme.use(f"u{number}-id", "2026-07-01", MICRO, group="rnd")
        await acme.use(f"u{number}-id", "2026-08-01", MICRO, group="rnd")
    answer = await api.get(f"{PATH}?credit_period=first")
    assert not [row for row in (*leaves(answer["rows"]), *leaves(answer["pinned"])) if row["id"] in ("sales", "emea")]
    await check_sums(api, answer, "?credit_period=first")
    for number in range(6):
        for day in ("2026-06-15", "2026-07-01", "2026-09-14"):
            await acme.use(f"u{number}-id", day, MICRO, group="sales")
    answer = await api.get(f"{PATH}?credit_period=first")
    assert "sales" in [row["id"] for row in answer["rows"]]
    await check_sums(api, answer, "?credit_period=first")


@pytest.mark.parametrize(
    ("query", "status"),
    [("credit_period=none", 404), ("by=label", 422), ("after=x", 422), ("from=2026-09", 422), ("limit=0", 422)],
)
async def test_what_cannot_be_answered_is_refused(api: Api, acme: PeopleRows, query: str, status: int) -> None:
    assert (await api.ask(f"{PATH}?{query}")).status_code == status
