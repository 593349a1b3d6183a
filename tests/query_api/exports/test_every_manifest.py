"""Every file has a manifest, and can be compared with the same request of today."""

import hashlib
import io
from decimal import Decimal
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from query_api.access.state import ExportLimits
from support.clients.export_files import read_csv, special
from support.data.people_rows import actor, attribution, show, use_by
from support.data.table_rows import NOW, TableRows
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
    is_kept = path.startswith("usage")
    assert listed[0]["reproducible"] is is_kept

    changes = await api.get(f"{MANIFESTS}/{manifest['id']}/changes")
    assert changes["compared"] == ("lines" if is_kept else "file")
    if is_kept:
        return
    assert changes["same_bytes"] is True
    assert (changes["lines_before"], changes["lines_now"]) == (len(lines), len(lines))
    assert changes["credits_before"] == changes["credits_now"] == manifest["credits"]
    await db.use(acme, "assistant", "tool", "late", "2026-03-05", 12_345)
    if "commitment" in path:
        await db.execute("UPDATE contracts SET credit_price = 77777, currency = 'USD'")
    again = await make(api, path)
    changes = await api.get(f"{MANIFESTS}/{manifest['id']}/changes")
    assert changes["same_bytes"] is False
    assert changes["sha256_now"] == hashlib.sha256(again.content).hexdigest()
    assert changes["lines_now"] == len(lines_of(again, path))
    assert credits_of(changes["credits_now"]) == sum_of(lines_of(again, path), column)
    assert credits_of(changes["difference"]) == (None if column is None else Decimal("0.012345"))
    answer = await api.ask(f"{MANIFESTS}/{manifest['id']}/file")
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


async def test_a_file_by_people_is_not_compared_when_only_groups_are_shown(api: Api, db: TableRows) -> None:
    acme = await fill(db)
    export = (await make(api, "people.csv?range=all")).headers[HEADER]
    await show(db, acme, "groups_only", label_keys=[])
    answer = await api.ask(f"{MANIFESTS}/{export}/changes")
    assert answer.status_code in (403, 409, 422), answer.text
    assert (await api.ask(f"{MANIFESTS}/{export}")).status_code == 200
    assert "u-1" not in (await api.ask(f"{MANIFESTS}/{export}")).text


async def test_a_manifest_of_an_older_release_says_what_is_not_kept(api: Api, db: TableRows) -> None:
    await fill(db)
    export = (await make(api, "usage.csv?range=all")).headers[HEADER]
    await db.execute("UPDATE export_manifests SET manifest = (manifest::jsonb - 'parameters')::text, kept_bytes = NULL")
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
    async with open_api(export_limits=ExportLimits(manifests=5)) as api:
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
    size = await db.count("SELECT max(kept_bytes) FROM export_manifests")
    async with open_api(export_limits=ExportLimits(organization_bytes=3 * size + 10)) as api:
        api.now = NOW.replace(minute=1)
        month = (await make(api, "usage.csv?from=2026-03&to=2026-03")).headers[HEADER]
        for minute in range(2, 7):
            api.now = NOW.replace(minute=minute)
            newest = (await make(api, "usage.csv?range=all")).headers[HEADER]
        for export in (month, newest):
            assert (await api.ask(f"{MANIFESTS}/{export}/file")).status_code == 200
        listed = (await api.get(MANIFESTS))["exports"]
        assert sum(each["reproducible"] for each in listed) == 3 < len(listed) == 7
