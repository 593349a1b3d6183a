"""An organization with a label that differs in each use gets a clear answer, and the process stays small and responsive."""

import asyncio
from datetime import date

import pytest
from query_api.attributions.book import Book, BookKey, Books
from query_api.attributions.domain.tally import key_by_person
from query_api.attributions.limit import ATTRIBUTIONS_MAX, SPANS_MAX, check_number
from query_api.attributions.queries import RangeVersion, select_people_version
from query_api.calendar import Days
from query_api.db.session import read_as
from query_api.db.statements import SQL
from query_api.http.problems import ApiProblem
from query_api.turns import AT_ONCE, compute, in_parts
from runtime.postgres.pool import Pool
from support.data.people_usage import PeopleRows
from support.data.table_rows import TableRows
from support.services.query_api import Api

NOVEMBER = Days(date(2026, 11, 1), date(2026, 11, 30))
PEOPLE = "/api/v1/usage/people?by=label&label_key=trace"
TOO_MANY = (
    f"{PEOPLE}&from=2026-11&to=2026-11",
    f"{PEOPLE}&from=2026-10&to=2026-11",
    f"{PEOPLE}&from=2026-11-01&to=2026-11-02",
    f"{PEOPLE}&from=2026-11&to=2026-11&product=api",
    f"{PEOPLE}&from=2026-11&to=2026-11&label=kind:all",
    "/api/v1/usage/drivers?from=2026-11&to=2026-11",
    "/api/v1/trend?from=2026-11&to=2026-11&actor=user-1",
    "/api/v1/usage/runs?from=2026-11&to=2026-11&label=kind:all",
    "/api/v1/me/usage?from=2026-11&to=2026-11",
)
"""Each reads the attributions by another statement, or for another range."""


@pytest.mark.parametrize(
    ("statement", "ranges"),
    [
        ("select_attributions", 2), ("select_own_attributions", 1), ("sum_attributions", 2), ("sum_attributions_of_series", 2),
        ("read_attributed_months", 2),
    ],
)  # fmt: skip
def test_statements_read_at_most_one_more_than_the_maximum(statement: str, ranges: int) -> None:
    assert f"LIMIT {ranges * ATTRIBUTIONS_MAX + 1}\n" in SQL[statement] + "\n"


async def test_the_problem_names_the_labels_with_most_values(db: TableRows, pool: Pool) -> None:
    acme = PeopleRows(db, await db.organization())
    await insert_attributions(acme, 1_001)
    async with read_as(pool, "org_acme", "") as session:
        await check_number(session, ATTRIBUTIONS_MAX)
        with pytest.raises(ApiProblem) as raised:
            await check_number(session, ATTRIBUTIONS_MAX + 1)
    assert (raised.value.status, raised.value.problem) == (422, "too-many-attributions")
    assert "100,000" in raised.value.body.detail
    assert "`trace`" in raised.value.body.detail
    assert "`kind`" not in raised.value.body.detail


async def insert_attributions(acme: PeopleRows, number: int) -> None:
    """One for each value of the label trace, all of one person and with one value of the label kind."""
    await acme.db.execute(
        """INSERT INTO usage_attributions (organization_id, identity, actor_kind, actor_id, group_id, labels)
        SELECT $1, lpad(n::text, 32, '0')::uuid, 'user', 'user-1', '', jsonb_build_object('trace', n::text, 'kind', 'all')
        FROM generate_series(1, $2::integer) n""",
        acme.organization, number,
    )  # fmt: skip


@pytest.mark.slow
async def test_more_than_the_maximum_is_refused_with_the_label_at_fault(api: Api, db: TableRows) -> None:
    acme = PeopleRows(db, await db.organization())
    await acme.configure(label_keys=["trace", "kind"])
    await acme.use("user-1", "2026-10-05", 7, labels={"trace": "old"}, product="api")
    series = await db.use(
        acme.organization, "api", "namespace", "search", "2026-11-01", SPANS_MAX + 1, events=SPANS_MAX + 1
    )
    await insert_attributions(acme, SPANS_MAX + 1)
    await db.execute(
        """INSERT INTO usage_attributed_daily SELECT organization_id, '2026-11-01', attribution_id, $2, 1, 1 FROM usage_attributions
        WHERE organization_id = $1 AND labels ? 'kind'""", acme.organization, series,
    )  # fmt: skip
    await db.execute(
        """INSERT INTO usage_attributed_monthly SELECT organization_id, '2026-11-01', attribution_id, 1, 1 FROM usage_attributions
        WHERE organization_id = $1 AND labels ? 'kind'""", acme.organization,
    )  # fmt: skip
    for path in TOO_MANY:
        answer = await api.ask(path)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/too-many-attributions"), path
        assert answer.headers["content-type"] == "application/problem+json"
        assert ("200,000" if "label=" in path or "actor=" in path else "100,000") in answer.json()["detail"], path
        assert "`trace`" in answer.json()["detail"]
        assert "`kind`" not in answer.json()["detail"]
    explained = await api.get("/api/v1/explain?from=2026-11&to=2026-11&people=true")  # only its people are too many
    assert explained["total"] == "0.200001"
    assert [part["kind"] for part in explained["parts"] if not part["known"]] == ["new_people", "gone_people"]
    earlier = await api.get(f"{PEOPLE}&from=2026-10&to=2026-10")
    assert (earlier["total"], [row["id"] for row in earlier["rows"]]) == ("0.000007", ["old"])
    await db.execute(
        """DELETE FROM usage_attributed_monthly WHERE attribution_id IN (
        SELECT attribution_id FROM usage_attributed_monthly WHERE month = '2026-11-01' ORDER BY attribution_id OFFSET $1)""",
        ATTRIBUTIONS_MAX,
    )
    answer = await api.get(f"{PEOPLE}&from=2026-11&to=2026-11&limit=1")
    assert (answer["total"], answer["rows"][0]["credits"]) == ("0.200001", "0.000001")
    assert [(row["kind"], row["credits"]) for row in answer["pinned"]] == [("no_value", "0.100001")]
    await acme.configure("groups_only", ["trace", "kind"])  # months are read one by one, and count together
    for months, problem in (
        ("from=2026-10&to=2026-11", "too-many-attributions"),
        ("from=2026-11&to=2026-11", "too-few-people"),
    ):
        assert (await api.ask(f"{PEOPLE}&{months}")).json()["type"] == f"/problems/{problem}"


@pytest.mark.parametrize(("bytes_max", "is_kept"), [(1_000_000, True), (3_500, False)])
async def test_a_book_is_kept_only_within_the_maximum_of_all_books_also_if_it_is_alone(
    db: TableRows, pool: Pool, bytes_max: int, is_kept: bool
) -> None:
    """3,500 bytes are enough for the attributions, but not for the sums of the range."""
    acme = PeopleRows(db, await db.organization())
    for number in range(5):
        await acme.use(f"u{number}", "2026-11-01", 1)
    books, ranges = Books(bytes_max), [(NOVEMBER, RangeVersion(5, 5, 0, 0))]
    async with read_as(pool, "org_acme", "") as session:
        key = BookKey(acme.organization, "person", None, None, None)
        people = await select_people_version(session)
        book, [fold] = await books.read(session, key, people, key_by_person, NOVEMBER.last, ranges, None)
    assert (len(book.keys), int(fold.credits.sum())) == (5, 5)
    assert books.bytes == (book.bytes if is_kept else 0)
    assert book.bytes > 3_500


async def test_an_organization_with_many_views_of_people_pushes_out_none_of_others(db: TableRows, pool: Pool) -> None:
    books, ranges = Books(bytes_max=40_000), [(NOVEMBER, RangeVersion(5, 5, 0, 0))]

    async def read(name: str, number: int, day: int) -> Book:
        async with read_as(pool, name, "") as session:
            key, people = (
                BookKey(number, "person", None, None, date(2026, 11, day)),
                await select_people_version(session),
            )
            book, _ = await books.read(session, key, people, key_by_person, NOVEMBER.last, ranges, None)
            return book

    quiet, many = [await db.organization(name) for name in ("org_quiet", "org_many")]
    for organization in (quiet, many):
        for number in range(5):
            await PeopleRows(db, organization).use(f"u{number}", "2026-11-01", 1)
    of_quiet = await read("org_quiet", quiet, 1)
    of_many = [await read("org_many", many, day) for day in range(1, 21)]
    assert of_quiet.bytes + sum(book.bytes for book in of_many) > 2 * 40_000
    assert books.bytes <= 40_000
    assert await read("org_quiet", quiet, 1) is of_quiet
    assert await read("org_many", many, 20) is of_many[-1]
    assert await read("org_many", many, 1) is not of_many[0], "it has lost its own"


async def test_other_requests_run_during_long_computations() -> None:
    ran = []

    async def other() -> None:
        ran.append(len(seen))

    seen = list[int]()
    task = asyncio.create_task(other())
    async for some in in_parts(range(2 * AT_ONCE + 1)):
        seen += some
    await task
    assert ran == [AT_ONCE]
    assert seen == list(range(2 * AT_ONCE + 1))
    for size in (1, AT_ONCE + 1):
        assert await compute(None, size, sum, [1, 2]) == 3
