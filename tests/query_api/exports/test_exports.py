"""Exports: the content of lines, sums that equal the page's, and no cell that a spreadsheet reads as a formula."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from query_api.db.statements import SQL
from query_api.exports.domain.cells import guard_id, unguard_id
from query_api.exports.domain.labels import Label
from query_api.exports.formats.rows import COLUMNS
from query_api.exports.queries import columns_of
from query_api.exports.usage import USAGE_COLUMNS
from query_api.usage.domain.catalog import FEATURE_KINDS
from runtime.postgres.pool import Pool
from support.clients.export_files import header_of, read_file, special, total
from support.data.table_rows import TableRows
from support.services.query_api import Api

USAGE = "/api/v1/export/usage.csv"


def short(lines: list[dict[str, str]], *columns: str) -> list[tuple[str, ...]]:
    return [tuple(line[column] for column in columns) for line in lines]


async def test_every_column_of_a_line(api: Api, db: TableRows) -> None:
    acme = await db.organization(time_zone="Asia/Kathmandu")
    await db.feature(acme, "agents", "tool", "jira_search", "2026-01-01", "Connectors", "Jira search")
    await db.feature(acme, "agents", "tool", "jira_search", "2026-11-10", "Work apps")
    await db.agent(acme, "agt_42", "saved", "Quarterly report")
    await db.use(acme, "agents", "tool", "jira_search", "2026-11-01", 1_250_000, agent="agt_42", surface="slack", events=3)  # fmt: skip
    await db.correct(acme, "agents", "tool", "jira_search", "2026-11-01", -250_000, agent="agt_42", surface="slack")
    lines = await read_file(api, f"{USAGE}?from=2026-11&to=2026-11")
    usage = {
        "date": "2026-11-01", "product": "agents", "kind": "tool", "category": "Connectors", "category_now": "Work apps",
        "feature": "jira_search", "feature_name": "Jira search", "agent_id": "agt_42", "agent_name": "Quarterly report",
        "agent_status": "agent", "surface": "slack", "line": "usage", "credits": "1.250000", "events": "3",
        "organization_id": "org_acme", "time_zone": "Asia/Kathmandu",
    }  # fmt: skip
    assert list(lines[0]) == list(USAGE_COLUMNS)
    assert lines == [usage, usage | {"line": "correction", "credits": "-0.250000", "events": "0"}]


async def test_an_empty_file_has_its_header(api: Api, db: TableRows) -> None:
    header = header_of(USAGE_COLUMNS)
    assert (await api.ask(USAGE, organization="org_unknown")).text == header
    await db.organization()
    assert (await api.ask(f"{USAGE}?from=2026-01&to=2026-12")).text == header


async def test_the_name_of_the_file_says_whose_and_of_which_days(api: Api, db: TableRows) -> None:
    await db.organization("org:acme")
    answer = await api.ask(f"{USAGE}?from=2026-10&to=2026-11", organization="org:acme")
    name = "flexcredits_org-acme_2026-10-01_2026-11-30_usage.csv"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


@pytest.mark.parametrize(
    ("file", "query", "what"),
    [
        ("usage", "", "usage"), ("usage", "&product=agents", "usage_agents"), ("focus", "", "focus"),
        ("usage", "&product=assistant&view=other_features&surface=web&surface=", "usage_assistant_other_features_surface-none+web"),
        ("usage", "&surface=%C3%BC/..%22%0D", "usage_surface---..--"), ("usage", "&surface=" + 70 * "x", "usage_1-surfaces"),
        ("table", "&product=assistant&view=tools&group_by=surface&categories=now", "table_assistant_tools_by-surface_categories-of-now"),
    ],
)  # fmt: skip
async def test_the_name_of_the_file_says_what_is_left_out(
    api: Api, db: TableRows, file: str, query: str, what: str
) -> None:
    await db.organization()
    answer = await api.ask(f"/api/v1/export/{file}.csv?from=2026-10&to=2026-11{query}")
    name = f"flexcredits_org_acme_2026-10-01_2026-11-30_{what}.csv"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


async def test_a_line_appears_if_it_carries_something(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.use(acme, "api", "namespace", "free", "2026-11-01", 0)  # a rate of 0 is a valid rate
    await db.use(acme, "api", "namespace", "undone", "2026-11-01", 5)
    await db.correct(acme, "api", "namespace", "undone", "2026-11-01", -5)
    await db.correct(acme, "api", "namespace", "nothing", "2026-11-01", 0)
    await db.correct(acme, "api", "namespace", "only", "2026-11-01", -7)  # of usage on another day
    lines = await read_file(api, f"{USAGE}?range=all")
    assert short(lines, "feature", "line", "credits", "events") == [
        ("free", "usage", "0.000000", "1"),
        ("only", "correction", "-0.000007", "0"),
        ("undone", "usage", "0.000005", "1"),
        ("undone", "correction", "-0.000005", "0"),
    ]


async def test_lines_are_sorted_by_day_and_what_they_are_of(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for day in ("2026-11-02", "2026-10-31", "2026-11-01"):
        for feature, surface in (("b", "web"), ("a", "web"), ("a", "slack")):
            await db.use(acme, "assistant", "tool", feature, day, 1, surface=surface)
        await db.use(acme, "agents", "tool", "z", day, 1, agent="x")
    lines = short(await read_file(api, f"{USAGE}?range=all"), "date", "product", "feature", "surface")
    assert lines == sorted(lines)
    assert len(lines) == 12


RANGES = [
    "range=all", "from=2026-01&to=2026-12", "credit_period=p1", "", "from=2026-03-29&to=2026-03-29", "from=2026-03&to=2026-10",
    "from=2026-10-25&to=2026-12-31", "from=0001-01&to=9999-12", "from=2024-01&to=2024-12", "from=2026-02&to=2026-02",
]  # fmt: skip


async def test_the_sum_of_the_credits_is_the_screens(api: Api, db: TableRows) -> None:
    for zone in ("Asia/Kathmandu", "Europe/Berlin", "America/St_Johns", "UTC"):
        name = zone.replace("/", ":")
        await special(db, zone, name)
        for query in RANGES:
            lines = await read_file(api, f"{USAGE}?{query}", organization=name)
            tables = [
                await api.get(f"/api/v1/breakdown?product={product}&view={view}&{query}", organization=name)
                for product, view in FEATURE_KINDS
                if view != "features"
            ]
            assert total(lines) == sum(Decimal(table["total"]) for table in tables), (zone, query)
            assert sum(int(line["events"]) for line in lines) == sum(table["events"] for table in tables)
            assert {line["time_zone"] for line in lines} <= {zone}
        overview = await api.get("/api/v1/overview", organization=name)
        for query in ("credit_period=current", "range=all"):
            assert total(await read_file(api, f"{USAGE}?{query}", organization=name)) == Decimal(
                overview["credits_used"]
            )


async def test_any_split_of_a_range_gives_the_lines_of_the_whole(api: Api, db: TableRows) -> None:
    await special(db, "Asia/Kathmandu", "org_acme")
    whole = await read_file(api, f"{USAGE}?from=2026-01-01&to=2026-12-31")
    for cut in ("2026-03-29", "2026-03-30", "2026-10-01", "2026-10-25"):
        before = date.fromisoformat(cut) - timedelta(days=1)
        first = await read_file(api, f"{USAGE}?from=2026-01-01&to={before}")
        assert first + await read_file(api, f"{USAGE}?from={cut}&to=2026-12-31") == whole


async def test_filters_pick_lines_and_change_none(api: Api, db: TableRows) -> None:
    await special(db, "UTC", "org_acme")
    whole = await read_file(api, f"{USAGE}?range=all")
    for product, view in FEATURE_KINDS:
        kinds = FEATURE_KINDS[product, view]
        lines = await read_file(api, f"{USAGE}?range=all&product={product}&view={view}")
        assert lines == [line for line in whole if line["product"] == product and line["kind"] in kinds]
        assert lines
        assert total(lines) == Decimal((await api.get(f"/api/v1/breakdown?product={product}&view={view}&range=all"))["total"])  # fmt: skip
    for surfaces in (["web"], ["slack"], ["slack", "web"], ["nowhere"]):
        query = "&".join(f"surface={surface}" for surface in surfaces)
        expected = [line for line in whole if line["surface"] in surfaces]
        assert await read_file(api, f"{USAGE}?range=all&{query}") == expected
    assert await read_file(api, f"{USAGE}?range=all&surface=%00") == []  # Postgres cannot store this text


async def test_agents_appear_as_they_are_now_and_categories_as_they_were(api: Api, db: TableRows) -> None:
    await special(db, "Europe/Berlin", "org_acme")
    lines = await read_file(api, f"{USAGE}?range=all&product=agents")
    assert {row for row in short(lines, "agent_id", "agent_name", "agent_status")} == {
        ("gone", "Gone", "deleted"), ("renamed", "New name", "agent"), ("draft", "", "unsaved"), ("chat", "Chat", "system"),
        ("unheard", "unheard", "agent"), ("", "", "unsaved"),
    }  # fmt: skip
    lines = [line for line in await read_file(api, f"{USAGE}?range=all&product=assistant&view=tools") if line["line"] == "usage"]  # fmt: skip
    assert short(lines, "date", "category", "category_now") == [
        ("2026-01-01", "Wide", "After"), ("2026-03-28", "Wide", "After"), ("2026-03-29", "Before", "After"),
        ("2026-03-30", "", "After"), ("2026-10-24", "", "After"), ("2026-10-25", "After", "After"),
        ("2026-10-26", "After", "After"), ("2026-11-22", "After", "After"), ("2026-12-31", "After", "After"),
    ]  # fmt: skip


HOSTILE = [
    "=HYPERLINK(\"http://evil.example\")", "+1", "-1", "@SUM(A1)", "  =1+1", "\u3000＝1", "＋1", "－1", "＠x", "\u200b=1", "'=1",
    'say "hi"', "a,b", "ünïcode – 日本語", "\u202e=drowssap", "{a}", "\\N", "\\.", "a\\", "$1", "$4 $17", "'); DROP TABLE usage_daily; --",
    "{\"x\",NULL}", "NULL", "1.5", " padded ",
]  # fmt: skip


async def test_no_text_is_a_formula_and_every_text_is_read_back(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for number, text in enumerate(HOSTILE):
        await db.feature(acme, "agents", "tool", text, "2026-01-01", text, text)
        await db.agent(acme, f"agent-{number}", "saved", text)
        await db.use(acme, "agents", "tool", text, "2026-11-01", -number, agent=f"agent-{number}", surface=text)
    lines = await read_file(api, f"{USAGE}?range=all")
    assert len(lines) == len(HOSTILE)
    for line in lines:
        number = int(line["agent_id"].removeprefix("agent-"))
        text = HOSTILE[number]
        for column in ("category", "category_now", "feature_name", "agent_name"):
            assert line[column] in (text, "'" + text)
            assert line[column].lstrip(" \u3000\u200b\u202e")[:1] not in tuple("=+-@＝＋－＠")
        for column in ("feature", "surface"):  # columns that other tables are joined on
            assert line[column] == guard_id(text)
            assert unguard_id(line[column]) == text
        assert Decimal(line["credits"]) == Decimal(-number) / 1_000_000
        assert line["credits"].startswith("-" if number else "0")


async def test_what_is_not_possible_is_said_before_the_file_begins(api: Api, db: TableRows) -> None:
    await db.organization()
    for query, parameter in (
        ("view=tools", "view"), ("product=api&view=tools", "view"), ("from=2026-01", "to"), ("range=all&credit_period=p", "range"),
        ("product=x", "product"), ("nonsense=1", "nonsense"),
    ):  # fmt: skip
        answer = await api.ask(f"{USAGE}?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, parameter), query
        assert "content-disposition" not in answer.headers


async def test_the_statements_columns_are_those_that_are_read(pool: Pool) -> None:
    sizes = {"date": "i4", "int4": "i4", "int8": "i8"}
    async with pool.acquire() as connection:
        for name in ("copy_usage", "copy_selected_usage"):
            statement = await connection.prepare(SQL[name])
            assert {column.name: sizes[column.type.name] for column in statement.get_attributes()} == COLUMNS
    assert columns_of(Label, []) == [[]] * len(Label._fields)


async def test_the_table_has_every_row_of_the_screen_with_usage_and_its_leaves_add_up(api: Api, db: TableRows) -> None:
    await special(db, "Asia/Kathmandu", "org_acme")
    for product, view in FEATURE_KINDS:
        for query in ("range=all", "", "from=2026-03-29&to=2026-03-30", "from=2024-01&to=2024-01"):
            parameters = f"product={product}&view={view}&{query}"
            breakdown = await api.get(f"/api/v1/breakdown?{parameters}")
            lines = await read_file(api, f"/api/v1/export/table.csv?{parameters}")
            assert short(lines, "kind", "id", "name", "credits", "events", "share") == rows_in_order(breakdown["rows"])
            leaves = [line for line in lines if line["is_leaf"] == "true"]
            assert total(leaves) == Decimal(breakdown["total"])
            assert sum(int(line["events"]) for line in leaves) == breakdown["events"]


def rows_in_order(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Without rows of usage that is in the range before only."""
    lines = []
    for row in rows:
        if not row["events"] and not Decimal(row["credits"]):
            continue
        lines.append(tuple(str(row[name]) for name in ("kind", "id", "name", "credits", "events", "share")))
        lines += rows_in_order(row["rows"])
    return lines


async def test_a_line_of_the_table_says_what_it_is_part_of(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.feature(acme, "agents", "tool", "search", "2026-01-01", "=Connectors", "+Search")
    await db.agent(acme, "gone", "deleted", "-Gone")
    await db.use(acme, "agents", "tool", "search", "2026-11-01", 2_000_000, agent="gone")
    await db.use(acme, "agents", "tool", "other", "2026-11-01", -1, agent="@at")
    path = "/api/v1/export/table.csv?product=agents&view=features&from=2026-11&to=2026-11"
    assert (await api.ask(path)).text.splitlines() == [
        '"level","path","kind","id","name","is_leaf","credits","events","share"',
        "1,,category,'=Connectors,'=Connectors,false,2.000000,1,1.000001",
        "2,'=Connectors,tool,search,'+Search,false,2.000000,1,1.000001",
        "3,'=Connectors > +Search,deleted,deleted,Deleted agents,false,2.000000,1,1.000001",
        "4,'=Connectors > +Search > Deleted agents,agent,gone,'-Gone,true,2.000000,1,1.000001",
        "1,,tool,other,other,false,-0.000001,1,-0.000001",
        "2,other,agent,@at,'@at,true,-0.000001,1,-0.000001",
    ]
    answer = await api.ask(path)
    name = "flexcredits_org_acme_2026-11-01_2026-11-30_table_agents_features.csv"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert (await api.ask("/api/v1/export/table.csv?product=api&view=tools")).status_code == 422


async def test_the_table_is_a_file_of_all_rows(api: Api, db: TableRows) -> None:
    await db.organization()
    for parameter in ("limit=1", "after=WyJ4Il0"):
        answer = await api.ask(f"/api/v1/export/table.csv?product=api&view=namespaces&{parameter}")
        assert answer.status_code == 422
        assert "a file always has all rows" in answer.json()["detail"]


async def test_a_file_for_excel_begins_with_a_byte_order_mark(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.use(acme, "api", "namespace", "search", "2026-11-01", 5_213_000)
    for path in ("usage.csv?", "focus.csv?", "table.csv?product=api&view=namespaces&"):
        plain = await api.ask(f"/api/v1/export/{path}from=2026-11&to=2026-11")
        marked = await api.ask(f"/api/v1/export/{path}from=2026-11&to=2026-11&bom=true")
        first, rest = plain.content.split(b",", 1)
        # Strict readers refuse a quotation mark after the mark, which they take for the beginning of the cell.
        assert marked.content == b"\xef\xbb\xbf" + first.strip(b'"') + b"," + rest
        assert b"5.213000" in plain.content


async def test_who_takes_a_file_along_is_written_down(api: Api, db: TableRows) -> None:
    await db.organization()
    await read_file(api, f"{USAGE}?from=2026-11&to=2026-11&surface=web")
    [entry] = (await api.get("/api/v1/audit"))["entries"]
    assert (entry["action"], entry["email"]) == ("export", "ada@acme.example")
    assert entry["details"]["query"] == "from=2026-11&to=2026-11&surface=web"
    assert "org_acme" in entry["details"]["file"]
    who = "from=2026-11&actor=ada%40acme.example&to=2026-11"
    await read_file(api, f"{USAGE}?{who}")
    newest = (await api.get("/api/v1/audit"))["entries"][0]
    assert newest["details"]["query"] == "from=2026-11&actor=...&to=2026-11"
    assert (await api.ask(USAGE, role="member")).status_code == 403
    assert [entry["action"] for entry in (await api.get("/api/v1/audit"))["entries"]] == [
        "access.refused",
        "export",
        "export",
    ]
