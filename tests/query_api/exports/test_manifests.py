"""Manifests: what they say of a file, their signature by the real minisign, the same bytes again, and their limits."""

import hashlib
import io
import json
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from query_api.access.state import ExportLimits
from query_api.auth.minisign import SigningKey
from query_api.exports.formats.rows import LabelIndex, Rows
from query_api.exports.manifests.kept import days_of, read_kept_rows, read_labels
from support.clients.export_files import read_csv, special, total
from support.data.people_rows import actor, attribution, show, use_by
from support.data.table_rows import NOW, TableRows
from support.infra.stack import SCHEMAS, Database
from support.services.query_api import Api, OpenApi

EXPORT = "/api/v1/export"
MANIFESTS = f"{EXPORT}/manifests"
HEADER = "flexcredits-export"
SEED = bytes(range(32))


async def make(api: Api, query: str = "range=all", form: str = "csv", **claims: Any) -> httpx.Response:
    answer = await api.ask(f"{EXPORT}/usage.{form}?{query}", **claims)
    assert answer.status_code == 200, answer.text
    return answer


async def change_everything(db: TableRows, acme: int) -> None:
    """Usage, names, categories, agents and the time zone."""
    await db.use(acme, "api", "namespace", "search", "2026-03-28", 12_345)
    await db.use(acme, "api", "namespace", "new", "2026-12-31", 1)
    await db.correct(acme, "api", "namespace", "search", "2026-03-28", -5)
    await db.execute("UPDATE features SET category = 'Other', display_name = 'Other name'")
    await db.execute("UPDATE agents SET state = 'deleted', name = 'Other agent'")
    await db.execute("UPDATE organizations SET time_zone = 'Asia/Tokyo', name = 'Other'")


@pytest.mark.parametrize("query", ["range=all", "from=2026-03&to=2026-03&product=assistant&view=tools&surface=web&bom=true", "from=2020-01&to=2020-01"])  # fmt: skip
async def test_a_manifest_says_what_is_in_the_file(api: Api, db: TableRows, query: str) -> None:
    acme = await special(db, "Asia/Kathmandu", "org_acme")
    await db.execute("INSERT INTO zone_rules VALUES ($1, 'Asia/Kathmandu', '2026a', '{0,20700}')", acme)
    await db.execute("UPDATE contracts SET credit_price = 50001, currency = 'USD'")
    await db.progress(0, NOW, counted=40, held=2)
    await db.progress(1, NOW, counted=7)
    file = await make(api, query)
    answer = await api.ask(f"{MANIFESTS}/{file.headers[HEADER]}")
    manifest = answer.json()
    lines = read_csv(file.content.decode("utf-8-sig"))
    assert manifest["id"] == file.headers[HEADER]
    assert manifest["organization"] == "org_acme"
    assert manifest["file"] in file.headers["content-disposition"]
    assert (manifest["dataset"], manifest["format"], manifest["byte_order_mark"]) == ("usage", "csv", "bom=" in query)
    assert (manifest["made_at"], manifest["time_zone"]) == ("2026-11-22T12:00:00Z", "Asia/Kathmandu")
    assert manifest["watermark"] == {
        "topic": "usage.events.v1", "next_offsets": {"0": 42, "1": 7}, "complete_to": "2026-11-22T12:00:00Z",
    }  # fmt: skip
    assert manifest["rules"]["time_zones"] == "2026a"
    assert (manifest["rules"]["contracts"], manifest["rules"]["contracts_offset"]) == (1, 0)
    assert (manifest["rules"]["features"], manifest["rules"]["rates"]) == (4, 0)
    assert manifest["lines"] == len(lines)
    assert Decimal(manifest["credits"]) == total(lines)
    assert manifest["events"] == sum(int(line["events"]) for line in lines)
    assert (manifest["bytes"], manifest["sha256"]) == (len(file.content), hashlib.sha256(file.content).hexdigest())
    if "surface" in query:
        assert manifest["filters"] == {"product": "assistant", "view": "tools", "surface": ["web"]}
        assert manifest["prices"] == [{"from": "2026-03-01", "to": "2026-03-31", "currency": "USD", "credit": "0.050001"}]  # fmt: skip
    listed = await api.get(MANIFESTS)
    assert listed == {"exports": [{"manifest": manifest, "signed": False, "reproducible": True}]}


async def test_amounts_beyond_a_bigint_are_exact(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for day in ("2025-03-02", "2026-03-02"):
        await db.use(acme, "api", "namespace", "huge", day, 8 * 10**18)
    file = await make(api)
    manifest = await api.get(f"{MANIFESTS}/{file.headers[HEADER]}")
    assert Decimal(manifest["credits"]) == total(read_csv(file.text)) == 16 * 10**12


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("query", ["range=all", "from=2026-03-29&to=2026-10&product=agents&view=agents".replace("-29", ""), "from=2020-01&to=2020-02"])  # fmt: skip
async def test_the_same_manifest_gives_the_same_bytes_after_everything_has_changed(
    api: Api, db: TableRows, query: str, form: str
) -> None:
    acme = await special(db, "Asia/Kathmandu", "org_acme")
    file = await make(api, query, form)
    await change_everything(db, acme)
    again = await api.ask(f"{MANIFESTS}/{file.headers[HEADER]}/file")
    assert again.content == file.content
    for header in ("content-type", "content-disposition", "cache-control"):
        assert again.headers[header] == file.headers[header]
    if "2020" not in query:
        assert (await make(api, query, form)).content != file.content
    entries = (await api.get("/api/v1/audit"))["entries"]
    assert {"file": json.loads(json.dumps(entries[-1]["details"]["file"])), "again": file.headers[HEADER]} in [
        entry["details"] for entry in entries
    ]


async def test_parts_of_a_day_are_written_as_before(api: Api, db: TableRows) -> None:
    """A day of 40,000 series has several parts."""
    acme = await db.organization()
    for day in ("2026-10-31", "2026-11-01"):
        await db.use(acme, "api", "namespace", "n0", day, 5)
    await db.execute(
        "WITH new AS (INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)"
        " SELECT $1, 'api', 'namespace', 'n' || n, '', 'web' FROM generate_series(1, 40000) AS n RETURNING series_id)"
        " INSERT INTO usage_daily SELECT $1, '2026-11-01', series_id, series_id % 7 - 3, series_id % 5 FROM new",
        acme,
    )
    for form in ("csv", "parquet"):
        file = await make(api, "from=2026-10&to=2026-11", form)
        again = await api.ask(f"{MANIFESTS}/{file.headers[HEADER]}/file")
        assert again.content == file.content
    assert await db.count("SELECT count(*) FROM export_lines WHERE first_on IS NOT NULL") == 8
    assert await db.count("SELECT count(*) FROM export_blocks") == 4 + 1  # both files have the same lines and labels


async def test_the_real_minisign_accepts_the_signature_of_the_manifest_only(
    open_api: OpenApi, db: TableRows, tmp_path: Path
) -> None:
    minisign = shutil.which("minisign")
    if minisign is None:
        pytest.skip("minisign is not installed")
    await special(db, "Asia/Kathmandu", "org_acme")
    async with open_api(export_key=SigningKey(SEED)) as api:
        export = (await make(api)).headers[HEADER]
        for name, path in (("key.pub", f"{EXPORT}/key.pub"), ("m", f"{MANIFESTS}/{export}"), ("s", f"{MANIFESTS}/{export}/signature")):  # fmt: skip
            answer = await api.ask(path)
            assert answer.status_code == 200, answer.text
            (tmp_path / name).write_bytes(answer.content)
        assert (await api.get(MANIFESTS))["exports"][0]["signed"] is True

    def verify() -> subprocess.CompletedProcess[str]:
        command = [minisign, "-V", "-p", "key.pub", "-m", "m", "-x", "s"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20)

    good = verify()
    assert good.returncode == 0, good.stderr
    assert f"Trusted comment: org_acme flexcredits_org_acme_2026-01-01_2026-12-31_usage.csv {export}" in good.stdout
    manifest, signature = (tmp_path / "m").read_bytes(), (tmp_path / "s").read_text()
    (tmp_path / "m").write_bytes(manifest.replace(b'"lines"', b'"Lines"'))
    assert verify().returncode != 0
    (tmp_path / "m").write_bytes(manifest)
    (tmp_path / "s").write_text(signature.replace("org_acme", "org_evil"))
    assert verify().returncode != 0
    (tmp_path / "s").write_text(signature)
    (tmp_path / "key.pub").write_text(SigningKey(bytes(32)).public_file())
    assert verify().returncode != 0


async def test_without_a_key_manifests_say_that_they_are_unsigned(api: Api, db: TableRows) -> None:
    await db.organization()
    export = (await make(api)).headers[HEADER]
    for path in (f"{MANIFESTS}/{export}/signature", f"{EXPORT}/key.pub"):
        answer = await api.ask(path)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-signed")
        assert "EXPORT_SIGNING_KEY" in answer.json()["detail"]


async def test_manifests_are_of_one_organization(api: Api, db: TableRows) -> None:
    await db.organization()
    await db.organization("org_other")
    export = (await make(api)).headers[HEADER]
    for path in ("", "/signature", "/file"):
        answer = await api.ask(f"{MANIFESTS}/{export}{path}", organization="org_other")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-export"), path
    assert (await api.get(MANIFESTS, organization="org_other")) == {"exports": []}
    assert HEADER not in (await make(api, organization="org_unknown")).headers


async def test_a_file_of_some_people_has_no_manifest(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await actor(db, acme, "u-1", "Ada")
    await show(db, acme, "named", label_keys=[])
    await use_by(db, acme, await attribution(db, acme, "u-1"), "agents", "tool", "jira", "2026-11-01", 4, agent="a1")
    assert HEADER not in (await make(api, "range=all&actor=u-1")).headers
    assert await api.get(MANIFESTS) == {"exports": []}


async def test_a_file_that_was_not_sent_whole_has_no_manifest(open_api: OpenApi, db: TableRows) -> None:
    """The client leaves after the first piece."""
    await special(db, "Asia/Kathmandu", "org_acme")
    async with open_api() as api:
        token = api.provider.token()
        app = api.client._transport.app  # type: ignore[attr-defined]
        left = False

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"} if left else {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal left
            if message["type"] == "http.response.body" and message["body"]:
                left = True
                raise OSError("the client has gone")

        scope = {
            "type": "http", "method": "GET", "path": f"{EXPORT}/usage.csv", "raw_path": b"", "query_string": b"range=all",
            "headers": [(b"authorization", f"Bearer {token}".encode())], "http_version": "1.1", "scheme": "http",
            "server": ("api.example", 80), "client": ("127.0.0.1", 1), "root_path": "", "asgi": {"version": "3.0"},
        }  # fmt: skip
        with pytest.raises((OSError, RuntimeError)):
            await app(scope, receive, send)
        assert await api.get(MANIFESTS) == {"exports": []}


async def test_an_organization_keeps_a_number_of_manifests_and_of_bytes(open_api: OpenApi, db: TableRows) -> None:
    await special(db, "Asia/Kathmandu", "org_acme")
    await special(db, "Asia/Kathmandu", "org_other")
    async with open_api() as api:
        other = (await make(api, organization="org_other")).headers[HEADER]
        size = await db.count("SELECT sum(octet_length(data)) FROM export_blocks")
    limits = ExportLimits(manifests=3, organization_bytes=size + 10, of_request=2)
    async with open_api(export_limits=limits) as api:
        ids, sizes = [], set()
        for minute in range(5):
            api.now = NOW.replace(minute=minute)
            ids.append((await make(api)).headers[HEADER])
            sizes.add(await db.count("SELECT sum(octet_length(data)) FROM export_blocks WHERE organization_id = 1"))
        assert len(sizes) == 1  # their blocks are stored once
        listed = (await api.get(MANIFESTS))["exports"]
        assert [each["manifest"]["id"] for each in listed] == [ids[4], ids[3], ids[0]]  # all of the same bytes
        assert all(each["reproducible"] for each in listed)
        for at in (0, 3, 4):
            assert (await api.ask(f"{MANIFESTS}/{ids[at]}/file")).status_code == 200
        api.now = NOW.replace(minute=5)
        newest = (await make(api, "from=2026-03&to=2026-03")).headers[HEADER]
        answer = await api.ask(f"{MANIFESTS}/{ids[4]}/file")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/lines-not-kept")
        assert (await api.ask(f"{MANIFESTS}/{newest}/file")).status_code == 200
        assert await db.count("SELECT sum(octet_length(data)) FROM export_blocks WHERE organization_id = 1") <= size
        assert (await api.ask(f"{MANIFESTS}/{ids[1]}")).status_code == 404
        assert (await api.ask(f"{MANIFESTS}/{other}/file", organization="org_other")).status_code == 200
    async with open_api(export_limits=ExportLimits(file_bytes=size // 2)) as api:
        large = (await make(api)).headers[HEADER]
        assert (await api.ask(f"{MANIFESTS}/{large}")).status_code == 200
        assert (await api.ask(f"{MANIFESTS}/{large}/file")).json()["type"] == "/problems/lines-not-kept"


@pytest.mark.parametrize(
    "data", ["(SELECT data FROM export_blocks JOIN export_lines ON labels_block = block LIMIT 1)", "'PAR1'"]
)
async def test_lines_of_a_release_that_kept_other_columns_are_refused(api: Api, db: TableRows, data: str) -> None:
    await special(db, "Asia/Kathmandu", "org_acme")
    export = (await make(api)).headers[HEADER]
    await db.execute(
        f"UPDATE export_blocks SET data = {data} WHERE block IN (SELECT lines_block FROM export_lines WHERE first_on IS NOT NULL)"
    )
    for path in ("file", "changes"):
        answer = await api.ask(f"{MANIFESTS}/{export}/{path}")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/written-differently"), path


async def test_files_that_the_release_before_has_kept_are_written_again(
    open_api: OpenApi, db: TableRows, database: Database
) -> None:
    """Each had its lines by the index of labels, and labels of a month, in its own rows."""
    acme = await special(db, "Asia/Kathmandu", "org_acme")
    async with open_api() as api:
        for form in ("csv", "parquet"):
            file = await make(api, form=form)
            await keep_as_before(database.dsn, file.headers[HEADER])
            assert (await api.ask(f"{MANIFESTS}/{file.headers[HEADER]}/file")).content == file.content
        await db.use(acme, "api", "namespace", "search", "2026-03-28", 12_345)
        assert (await api.get(f"{MANIFESTS}/{file.headers[HEADER]}/changes"))["difference"] == "0.012345"
    inline = "SELECT coalesce(sum(octet_length(lines)), 0) FROM export_lines"
    assert await db.count(inline) > 0
    async with open_api(export_limits=ExportLimits(organization_bytes=1)) as api:
        await make(api)
        assert await db.count(inline) == 0  # they count, too


async def keep_as_before(dsn: str, export: str) -> None:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT position, first_on, begins_at, (SELECT data FROM export_blocks WHERE block = labels_block) AS labels,"
        " (SELECT data FROM export_blocks WHERE block = lines_block) AS lines FROM export_lines WHERE export_id = $1 ORDER BY 1",
        export,
    )
    labels = LabelIndex(read_labels(rows[0]["labels"]))
    await connection.execute("DELETE FROM export_lines WHERE export_id = $1", export)
    for at, row in enumerate(rows[1:]):
        days = days_of(row["first_on"], row["begins_at"])
        found = read_kept_rows(row["lines"], days, labels)
        written = io.BytesIO()
        table = pa.table({name: pa.array(values) for name, values in zip(Rows._fields, found, strict=True)})
        pq.write_table(table, written, compression="zstd", use_dictionary=False, write_statistics=False)
        await connection.execute(
            "INSERT INTO export_lines (organization_id, export_id, position, first_on, begins_at, labels, lines)"
            " SELECT organization_id, $1, $2, $3, $4, $5, $6 FROM export_manifests WHERE export_id = $1",
            export, at, row["first_on"], row["begins_at"], None if at else rows[0]["labels"], written.getvalue(),
        )  # fmt: skip
    await connection.execute("DELETE FROM export_blocks")
    await connection.close()


async def test_a_release_that_writes_other_bytes_says_so(api: Api, db: TableRows) -> None:
    await special(db, "Asia/Kathmandu", "org_acme")
    export = (await make(api)).headers[HEADER]
    await db.execute('UPDATE export_manifests SET manifest = replace(manifest, \'"sha256": "\', \'"sha256": "x\')')
    answer = await api.ask(f"{MANIFESTS}/{export}/file")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/written-differently")


async def test_files_of_the_release_before_are_distinguished_by_their_names(api: Api, db: TableRows) -> None:
    """A filter may have NUL, which Postgres' JSON refuses to read."""
    await special(db, "Asia/Kathmandu", "org_acme")
    for query in ("range=all", "range=all", "range=all&surface=%00", 'range=all&surface="file":%20"x"'):
        await make(api, query)
    await db.execute(
        "ALTER TABLE export_manifests DROP COLUMN request, DROP COLUMN sha256, DROP COLUMN people, DROP COLUMN people_version"
    )
    await db.execute((SCHEMAS / "postgres" / "0025_repeated_exports.sql").read_text())
    rows = await db.fetch("SELECT manifest, sha256, request FROM export_manifests")
    assert len(rows) == 4
    assert any("\\u0000" in row["manifest"] for row in rows)
    for row in rows:
        manifest = json.loads(row["manifest"])
        assert row["sha256"] == manifest["sha256"]
        assert row["request"] == hashlib.sha256(manifest["file"].encode()).digest()
    assert len({row["request"] for row in rows}) == 3
