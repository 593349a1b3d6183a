"""Every file has a manifest, and can be compared with the same request of today."""

import asyncio
import hashlib
import io
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import pyarrow.parquet as pq
import pytest
from query_api.access.state import ExportLimits
from support.clients.export_files import read_csv, special
from support.data.people_rows import actor, attribution, show, use_by
from support.data.table_rows import NOW, TableRows
from support.infra.service_process import eventually
from support.infra.stack import Database
from support.services.query_api import Api, OpenApi

EXPORT = "/api/v1/export"
MANIFESTS = f"{EXPORT}/manifests"
HEADER = "flexcredits-export"
TABLE = "product=assistant&view=tools"
FILES = {
    "usage.csv?range=all": "credits",
    "usage.parquet?range=all": "credits",
    f"table.csv?{TABLE}&range=all&group_by=surface&bom=true": "credits",
    f"table.parquet?{TABLE}&range=all": "credits",
    "people.csv?range=all": "credits",
    "people.parquet?from=2026-03&to=2026-03": "credits",
    "focus.csv?range=all": "ConsumedQuantity",
    "focus.csv?range=all&split=people": "ConsumedQuantity",
    "focus.csv?version=1.4&range=all": "ConsumedQuantity",
    "focus.csv?version=1.4&range=all&split=people&bom=true": "ConsumedQuantity",
    "focus.parquet?from=2026-03&to=2026-03": "ConsumedQuantity",
    "focus.parquet?range=all&split=people": "ConsumedQuantity",
    "focus.csv?version=1.4&range=all&dataset=billing-period": "x_UsedCredits",
    "focus.parquet?range=all&dataset=billing-period": "x_UsedCredits",
    "focus.csv?version=1.4&range=all&dataset=invoice-detail": None,
    "focus.parquet?range=all&dataset=contract-commitment": None,
}


def lines_of(file: httpx.Response, path: str) -> list[dict[str, Any]]:
    if ".parquet" in path:
        return pq.read_table(io.BytesIO(file.content)).to_pylist()  # type: ignore[no-any-return]
    return read_csv(file.content.decode("utf-8-sig"))


def sum_of(lines: list[dict[str, Any]], column: str | None) -> Decimal | None:
    if column is None:
        return None
    shown = [line for line in lines if line.get("is_leaf", True) in (True, "true")]
    return sum((Decimal(line[column] or 0) for line in shown), Decimal(0))


def credits_of(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


async def make(api: Api, path: str, **claims: Any) -> httpx.Response:
    answer = await api.ask(f"{EXPORT}/{path}", **claims)
    assert answer.status_code == 200, answer.text
    return answer


async def fill(db: TableRows) -> int:
    acme = await special(db, "Asia/Kathmandu", "org_acme")
    await actor(db, acme, "u-1", "Ada")
    await show(db, acme, "named", label_keys=[])
    await use_by(db, acme, await attribution(db, acme, "u-1"), "agents", "tool", "jira", "2026-03-02", 4, agent="a1")
    await db.correct(acme, "api", "namespace", "search", "2026-03-28", -5)
    await db.progress(0, NOW, counted=40)
    return acme


@pytest.mark.parametrize("path", FILES)
async def test_every_file_has_a_manifest_and_is_compared_with_today(api: Api, db: TableRows, path: str) -> None:
    acme, column = await fill(db), FILES[path]
    file = await make(api, path)
    lines = lines_of(file, path)
    manifest = await api.get(f"{MANIFESTS}/{file.headers[HEADER]}")
    assert (manifest["bytes"], manifest["sha256"]) == (len(file.content), hashlib.sha256(file.content).hexdigest())
    assert manifest["lines"] == len(lines)
    assert credits_of(manifest["credits"]) == sum_of(lines, column)
    assert manifest["file"] in file.headers["content-disposition"]
    assert manifest["dataset"] == path.partition(".")[0]
    assert manifest["format"] == ("csv" if ".csv" in path else "parquet")
    assert manifest["byte_order_mark"] == ("bom=true" in path)
    assert manifest["watermark"]["next_offsets"] == {"0": 40}
    assert (manifest["time_zone"], manifest["rules"]["contracts"]) == ("Asia/Kathmandu", 1)
    asked = dict(each.split("=") for each in path.partition("?")[2].split("&") if "bom" not in each)
    assert asked.items() <= manifest["parameters"].items()
    listed = (await api.get(MANIFESTS))["exports"]
    assert [each["manifest"] for each in listed] == [manifest]
    assert manifest["people"] == ("named" if "people" in path else None)
    is_kept = "people" not in path
    assert listed[0]["reproducible"] is is_kept

    changes = await api.get(f"{MANIFESTS}/{manifest['id']}/changes")
    has_causes = path.startswith("usage")
    assert changes["compared"] == ("lines" if has_causes else "file")
    if has_causes:
        await db.use(acme, "assistant", "tool", "late", "2026-03-05", 12_345)
        changes = await api.get(f"{MANIFESTS}/{manifest['id']}/changes")
        assert {each["cause"]: each["credits"] for each in changes["causes"] if each["changes"]} == {"late": "0.012345"}
        assert changes["credits_before"] == manifest["credits"]
        assert (await api.ask(f"{MANIFESTS}/{manifest['id']}/file")).content == file.content
        return
    has_time = path.startswith("focus.parquet") and not is_kept
    assert changes["same_bytes"] is (None if has_time else True)
    assert (changes["lines_before"], changes["lines_now"]) == (len(lines), len(lines))
    assert changes["credits_before"] == changes["credits_now"] == manifest["credits"]
    await db.use(acme, "assistant", "tool", "late", "2026-03-05", 12_345)
    if "commitment" in path:
        await db.execute("UPDATE contracts SET credit_price = 77777, currency = 'USD'")
    again = await make(api, path)
    changes = await api.get(f"{MANIFESTS}/{manifest['id']}/changes")
    assert changes["same_bytes"] is (None if has_time else False)
    if not path.startswith("focus.parquet") or has_time:
        assert changes["sha256_now"] == hashlib.sha256(again.content).hexdigest()
    assert changes["lines_now"] == len(lines_of(again, path))
    assert credits_of(changes["credits_now"]) == sum_of(lines_of(again, path), column)
    assert credits_of(changes["difference"]) == (None if column is None else Decimal("0.012345"))
    answer = await api.ask(f"{MANIFESTS}/{manifest['id']}/file")
    if is_kept:
        assert answer.content == file.content
    else:
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/lines-not-kept")


async def test_the_days_of_a_file_stay_those_of_its_request(open_api: OpenApi, db: TableRows) -> None:
    """`range=all` and the current month have other days later."""
    acme = await fill(db)
    async with open_api() as api:
        files = {path: await make(api, path) for path in ("people.csv?range=all", f"table.csv?{TABLE}", "focus.csv")}
        api.now = NOW.replace(year=2027, month=3)
        await db.use(acme, "assistant", "tool", "other", "2027-02-05", 12_345)
        for path, file in files.items():
            changes = await api.get(f"{MANIFESTS}/{file.headers[HEADER]}/changes")
            assert changes["difference"] == "0.000000", path
            assert changes["credits_before"] == changes["credits_now"], path


@pytest.mark.parametrize(
    "path",
    ["people.csv?range=all&actor=u-1", "people.parquet?range=all&actor=u-1", "table.csv?product=agents&view=agents&range=all&actor=u-1",
     "focus.csv?range=all&split=people&actor=u-1", "focus.parquet?range=all&split=people&actor=u-1"],
)  # fmt: skip
async def test_nothing_is_recorded_of_a_file_of_some_people(api: Api, db: TableRows, path: str) -> None:
    await fill(db)
    assert HEADER not in (await make(api, path)).headers
    assert await api.get(MANIFESTS) == {"exports": []}


async def test_files_of_an_unknown_organization_have_no_manifest(api: Api, db: TableRows) -> None:
    for path in FILES:
        assert HEADER not in (await make(api, path, organization="org_unknown")).headers


async def answered(api: Api, export: str) -> set[int | bool]:
    """How the paths of a manifest answer, and whether it is listed."""
    paths = [f"{MANIFESTS}/{export}{part}" for part in ("", "/signature", "/file", "/changes")]
    answers = [await api.ask(path) for path in paths]
    listed = [each["manifest"]["id"] for each in (await api.get(MANIFESTS))["exports"]]
    return {answer.status_code for answer in answers if "not-signed" not in answer.text} | {export in listed}


BY_PEOPLE = ["people.csv?range=all", "people.parquet?range=all", "focus.csv?range=all&split=people"]


@pytest.mark.parametrize("path", BY_PEOPLE)
async def test_a_manifest_of_people_is_answered_only_while_as_much_of_them_is_shown(
    api: Api, db: TableRows, path: str
) -> None:
    """With the hash of a file a guess of a name in it could be tested."""
    acme = await fill(db)
    named = (await make(api, path)).headers[HEADER]
    others = (await make(api, "usage.csv?range=all")).headers[HEADER]
    for people in ("groups_only", "pseudonymous"):
        await show(db, acme, people, label_keys=[])
        assert await answered(api, named) == {404, False}
        assert await answered(api, others) == {200, True}
    pseudonymous = (await make(api, path)).headers[HEADER]
    assert await answered(api, pseudonymous) == {200, 409, True}
    await show(db, acme, "named", label_keys=[])
    assert await answered(api, named) == {200, 409, True}
    assert await answered(api, pseudonymous) == {404, False}


@pytest.mark.parametrize("change", ["removed = true", "removed = true, erased = true, display_name = NULL", None])
async def test_a_manifest_of_people_is_not_answered_after_a_removal(
    api: Api, db: TableRows, change: str | None
) -> None:
    acme = await fill(db)
    await actor(db, acme, "u-2", "Grace")
    export = (await make(api, "people.csv?range=all")).headers[HEADER]
    await db.execute("UPDATE actors SET display_name = 'Hopper', event_offset = 2 WHERE actor_id = 'u-2'")
    assert await answered(api, export) == {200, 409, True}
    if change is None:  # an event was applied late: its offset is lower
        await db.execute("UPDATE actors SET removed = true WHERE actor_id = 'u-1'")
        await db.execute("INSERT INTO catalog_reloads (organization_id) VALUES ($1)", acme)
    else:
        await db.execute(f"UPDATE actors SET {change}, event_offset = 3 WHERE actor_id = 'u-1'")
    assert await answered(api, export) == {404, False}
    assert await db.count("SELECT count(*) FROM export_manifests") == 1
    newer = (await make(api, "people.csv?range=all")).headers[HEADER]
    assert await answered(api, newer) == {200, 409, True}
    assert await db.count("SELECT count(*) FROM export_manifests") == 1


async def test_a_comparison_is_limited_and_says_so(open_api: OpenApi, db: TableRows, database: Database) -> None:
    """Also while a COPY runs, which costs the connection."""
    await fill(db)
    async with open_api(export_limits=ExportLimits(compare_within_s=3)) as api:
        export = (await make(api, "people.csv?range=all")).headers[HEADER]
        owner = await asyncpg.connect(database.dsn)
        async with owner.transaction():
            await owner.execute("LOCK usage_attributed_daily IN ACCESS EXCLUSIVE MODE")
            asking = asyncio.create_task(api.ask(f"{MANIFESTS}/{export}/changes"))

            async def is_copying() -> bool:
                waiting = (
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                    " AND query LIKE '%COPY (%'"
                )
                return await db.count(waiting) > 0

            await eventually(is_copying)
            answer = await asking
        await owner.close()
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/too-long-to-compare"), answer.text
        assert "within 3 s" in answer.json()["detail"]
        assert (await api.get(f"{MANIFESTS}/{export}/changes"))["same_bytes"] is True


async def test_a_comparison_of_kept_lines_is_limited(open_api: OpenApi, db: TableRows) -> None:
    await fill(db)
    async with open_api(export_limits=ExportLimits(compare_within_s=0)) as api:
        export = (await make(api, "usage.csv?range=all")).headers[HEADER]
        answer = await api.ask(f"{MANIFESTS}/{export}/changes")
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/too-long-to-compare"), answer.text


async def test_a_file_of_a_period_that_has_ended_is_compared(open_api: OpenApi, db: TableRows) -> None:
    await fill(db)
    paths = [
        f"table.csv?{TABLE}&credit_period=current",
        "people.csv?credit_period=current",
        "focus.csv?credit_period=current",
    ]
    async with open_api() as api:
        exports = [(await make(api, path)).headers[HEADER] for path in paths]
        api.now = NOW.replace(year=2027, month=2)
        assert (await api.ask(f"{EXPORT}/{paths[0]}")).status_code == 404
        for export in exports:
            assert (await api.get(f"{MANIFESTS}/{export}/changes"))["difference"] == "0.000000"


async def test_a_table_does_not_depend_on_the_range_before(open_api: OpenApi, db: TableRows) -> None:
    """While a range is running, the range before grows every day."""
    acme = await fill(db)
    await db.use(acme, "assistant", "tool", "october", "2026-10-27", 5)
    await db.use(acme, "assistant", "tool", "both", "2026-11-02", 5)
    path = f"table.csv?{TABLE}&from=2026-11&to=2026-11"
    async with open_api() as api:
        file = await make(api, path)
        api.now = NOW.replace(day=29)
        assert (await make(api, path)).content == file.content
        changes = await api.get(f"{MANIFESTS}/{file.headers[HEADER]}/changes")
        assert changes["same_bytes"] is True
        assert "october" not in file.text


async def test_a_manifest_of_an_older_release_says_what_is_not_kept(api: Api, db: TableRows) -> None:
    await fill(db)
    export = (await make(api, "usage.csv?range=all")).headers[HEADER]
    await db.execute("UPDATE export_manifests SET manifest = (manifest::jsonb - 'parameters')::text")
    await db.execute("DELETE FROM export_lines")
    answer = await api.ask(f"{MANIFESTS}/{export}/changes")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/lines-not-kept")
    assert "older release" in answer.json()["detail"]
    assert (await api.get(MANIFESTS))["exports"][0]["manifest"]["parameters"] is None


async def test_usage_without_lines_is_compared_as_a_file(open_api: OpenApi, db: TableRows) -> None:
    acme = await fill(db)
    async with open_api(export_limits=ExportLimits(file_bytes=1)) as api:
        export = (await make(api, "usage.parquet?range=all")).headers[HEADER]
        assert (await api.get(f"{MANIFESTS}/{export}/changes"))["same_bytes"] is True
        await db.use(acme, "assistant", "tool", "late", "2026-03-05", 1)
        changes = await api.get(f"{MANIFESTS}/{export}/changes")
        assert (changes["same_bytes"], changes["difference"]) == (False, "0.000001")


async def test_a_program_that_polls_does_not_displace_other_files(open_api: OpenApi, db: TableRows) -> None:
    acme = await fill(db)
    async with open_api(export_limits=ExportLimits(manifests=5, of_request=3)) as api:
        made: dict[str, str] = {}

        async def poll(name: str, path: str, minute: int, **claims: Any) -> None:
            api.now = NOW.replace(minute=minute)
            made[name] = (await make(api, path, **claims)).headers[HEADER]

        async def kept() -> set[str]:
            listed = {each["manifest"]["id"] for each in (await api.get(MANIFESTS))["exports"]}
            return {name for name, export in made.items() if export in listed}

        await poll("month", "usage.csv?from=2026-03&to=2026-03", 0)
        await poll("of another", "usage.csv?range=all", 1, sub="someone")
        for minute in range(2, 8):
            await poll(f"same {minute}", "usage.csv?range=all", minute)
        assert await kept() == {"month", "of another", "same 2", "same 6", "same 7"}
        for minute in range(8, 12):
            await db.use(acme, "assistant", "tool", "late", "2026-03-05", 1)
            await poll(f"other {minute}", "usage.csv?range=all", minute)
        assert await kept() == {"month", "of another", "other 9", "other 10", "other 11"}


async def test_lines_of_a_program_that_polls_do_not_displace_those_of_other_files(
    open_api: OpenApi, db: TableRows
) -> None:
    await fill(db)
    async with open_api() as api:
        await make(api, "usage.csv?range=all")
    size = await db.count("SELECT sum(octet_length(data)) FROM export_blocks")
    async with open_api(export_limits=ExportLimits(organization_bytes=3 * size + 10, of_request=2)) as api:
        api.now = NOW.replace(minute=1)
        month = (await make(api, "usage.csv?from=2026-03&to=2026-03")).headers[HEADER]
        files = []
        for minute in range(2, 7):
            api.now = NOW.replace(minute=minute)
            await db.execute("UPDATE usage_daily SET credits = credits + 1")  # no two files share a line
            files.append((await make(api, "usage.csv?range=all")).headers[HEADER])
        for export in (month, *files[-2:]):
            assert (await api.ask(f"{MANIFESTS}/{export}/file")).status_code == 200
        assert (await api.ask(f"{MANIFESTS}/{files[0]}/file")).status_code == 409
        assert len((await api.get(MANIFESTS))["exports"]) == 7


async def test_the_newest_file_of_a_request_stays_however_many_requests_there_are(
    open_api: OpenApi, db: TableRows
) -> None:
    await fill(db)
    async with open_api(export_limits=ExportLimits(manifests=3)) as api:
        for day in range(1, 5):
            api.now = NOW.replace(hour=day)
            await make(api, f"usage.csv?from=2026-03-0{day}&to=2026-03-0{day}")
        ids = []
        for minute in (30, 40):
            api.now = NOW.replace(hour=4, minute=minute)
            ids.append((await make(api, "people.csv?range=all")).headers[HEADER])
        listed = [each["manifest"]["id"] for each in (await api.get(MANIFESTS))["exports"]]
        assert listed[:2] == [ids[1], ids[0]]  # both are newer than any other file
        api.now = NOW.replace(hour=1)  # the file that ends last may have begun first
        late = (await make(api, "people.csv?range=all")).headers[HEADER]
        assert (await api.ask(f"{MANIFESTS}/{late}")).status_code == 200
