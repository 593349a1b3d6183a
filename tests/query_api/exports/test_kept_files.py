"""Files are written again as they were, whatever happens later, and share what they have in common."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from aggregator.rebuild.time_zone import change_time_zone
from query_api.access.state import ExportLimits
from query_api.db.session import read_as, write_as
from query_api.exports.changes.rerun import KeptLines, read_kept
from query_api.exports.manifests.keeping import KeptFile, NewPart
from query_api.exports.manifests.queries import NewManifest, insert_export
from runtime.postgres.pool import Pool
from support.data.factories import event
from support.data.random_history import catalog_events, random_history, the_rate
from support.data.table_rows import NOW, TableRows
from support.infra.stack import Database
from support.services.aggregator import Aggregator
from support.services.query_api import Api, OpenApi

EXPORT = "/api/v1/export"
MANIFESTS = f"{EXPORT}/manifests"
HEADER = "flexcredits-export"
FILES = (
    "usage.csv?range=all", "usage.parquet?range=all", "usage.csv?from=2026-10-25&to=2026-11-01&product=agents&view=features&bom=true",
    "focus.csv?range=all", "focus.csv?version=1.4&range=all&bom=true", "focus.csv?version=1.4&from=2026-10&to=2026-11",
    "focus.parquet?range=all", "focus.parquet?from=2026-10-25&to=2026-11-01", "focus.parquet?range=all&dataset=billing-period",
    "focus.csv?version=1.4&range=all&dataset=invoice-detail", "focus.parquet?range=all&dataset=contract-commitment",
    "table.csv?product=assistant&view=tools&range=all&group_by=surface", "table.parquet?product=agents&view=agents&range=all",
)  # fmt: skip
BLOCKS = "SELECT coalesce(sum(octet_length(data)), 0) FROM export_blocks"


@pytest.fixture
async def aggregator(database: Database) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        yield Aggregator(pool)


async def make(api: Api, path: str, **claims: Any) -> httpx.Response:
    answer = await api.ask(f"{EXPORT}/{path}", **claims)
    assert answer.status_code == 200, answer.text
    return answer


async def made_again(api: Api, files: list[httpx.Response]) -> None:
    """Each file has the same bytes and the same headers."""
    for file in files:
        again = await api.ask(f"{MANIFESTS}/{file.headers[HEADER]}/file")
        assert again.status_code == 200, again.text
        assert again.content == file.content
        for header in ("content-type", "content-disposition"):
            assert again.headers[header] == file.headers[header]


def contract(price: str, on: str) -> dict[str, Any]:
    """Another price of days that files have already."""
    periods = [{"id": name, "from": begins, "to": ends, "total": "0.5"} for name, begins, ends in (("p1", "2026-08-15", "2026-11-01"), ("p2", "2026-11-01", "2027-02-01"))]  # fmt: skip
    data = {
        "contract_id": "c1", "from": "2026-08-15", "to": "2027-02-01", "credit_periods": periods, "currency": "EUR",
        "credit_price": price, "overage_price": price,
    }  # fmt: skip
    return event("flexcredits.contract.v1", data, subject="org_acme", time=f"{on}T00:00:00Z")


@pytest.mark.parametrize(("zone", "moved_to"), [("Europe/Berlin", "Asia/Kathmandu"), ("America/St_Johns", "Australia/Lord_Howe")])  # fmt: skip
async def test_the_same_manifest_gives_the_same_bytes_whatever_comes_later(
    open_api: OpenApi, aggregator: Aggregator, database: Database, db: TableRows, zone: str, moved_to: str
) -> None:
    """Late events, corrections, new prices, names, categories and agents, another zone, and as many further files."""
    chance = random.Random(f"kept {zone}")
    _, log = random_history(chance, zone, 200)
    organization, *others = catalog_events(zone)
    others = [each for each in others if each["type"] != "flexcredits.contract.v1"]
    chance.shuffle(others)
    half = len(others) // 2
    await aggregator.learn(organization, *others[:half], contract("0.02", "2026-10-20"))
    cut = {partition: chance.randint(len(kept) // 3, len(kept) * 2 // 3) for partition, kept in log.items()}
    await aggregator.count(*(kept[: cut[partition]] for partition, kept in log.items()))
    async with open_api() as api:
        files = [await make(api, path) for path in FILES]
        await made_again(api, files)

        await aggregator.count(*log.values())
        api.now = NOW + timedelta(days=1)
        files += [await make(api, path) for path in FILES]
        await made_again(api, files)

        await aggregator.learn(*others[half:], *the_rate(), contract("0.03", "2026-11-20"))
        while await aggregator.release():
            pass
        await db.execute("UPDATE features SET display_name = 'New ' || feature, category = 'New'")
        await db.execute("UPDATE agents SET state = 'deleted', name = 'Other agent'")
        await db.execute("UPDATE organizations SET name = 'Other'")
        api.now = NOW + timedelta(days=2)
        files += [await make(api, path) for path in FILES]
        await made_again(api, files)

        owner = await asyncpg.connect(database.dsn)
        await change_time_zone(owner, "org_acme", moved_to)
        await owner.close()
        api.now = NOW + timedelta(days=3)
        files += [await make(api, path) for path in FILES]
        await made_again(api, files)
    # Each was another file, so nothing was written again by chance.
    for at in (0, 3, 6):
        assert len({hashlib.sha256(file.content).digest() for file in files[at :: len(FILES)]}) == 4, FILES[at]


async def test_files_share_what_has_not_changed(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    await db.contract(acme, "c1", "2025-11-01", "2027-01-01", credit_price=20_000, currency="EUR")
    for name in range(100):
        await db.series(acme, "api", "namespace", f"n{name}", "", "web")
    for name, day in (("n0", "2025-11-01"), ("n1", "2026-11-22")):
        await db.feature(acme, "api", "namespace", name, "2025-01-01", "A")
        await db.use(acme, "api", "namespace", name, day, 5)
    await db.execute(
        "INSERT INTO usage_daily SELECT organization_id, day, series_id, abs(hashtext(series_id || day::text)), 1 FROM usage_series,"
        " generate_series(date '2025-11-01', date '2026-11-22', interval '1 day') AS day ON CONFLICT DO NOTHING"
    )

    async def grown(path: str) -> int:
        before = await db.count(BLOCKS)
        await make(api, path)
        return await db.count(BLOCKS) - before

    all_days = await grown("usage.csv?from=2025-11&to=2026-11")
    for path in ("usage.parquet?from=2025-11&to=2026-11", "usage.csv?from=2025-11&to=2026-11&bom=true"):
        assert await grown(path) == 0
    assert await grown("usage.csv?from=2026-11&to=2026-11") == 0  # a month is part of all
    assert await grown("usage.csv?from=2026-03&to=2026-05") == 0
    month = all_days / 13
    assert (
        0 < await grown("usage.csv?from=2025-11-07&to=2026-11-22") < 1.2 * month
    )  # its first days are not those of a whole month
    await db.use(acme, "api", "namespace", "n0", "2026-11-22", 5)
    assert 0 < await grown("usage.csv?from=2025-11&to=2026-11") < 1.2 * month
    assert await grown("usage.csv?from=2026-11&to=2026-11") == 0
    await db.execute("UPDATE features SET category = 'B' WHERE feature = 'n1'")
    labels = await grown("usage.csv?from=2025-11&to=2026-11")
    assert 0 < labels < month  # usage is kept without its labels
    assert await grown("focus.csv?from=2025-11&to=2026-11") < 1.5 * month  # only prices and periods of its days
    assert await grown("focus.csv?version=1.4&from=2025-11&to=2026-11") < 2 * month
    of_files = (
        "SELECT sum(octet_length(data)) FROM export_lines JOIN export_blocks ON block IN (lines_block, labels_block)"
    )
    assert await db.count(of_files) > 4 * await db.count(BLOCKS)


async def test_all_parts_of_a_file_share_what_finds_their_labels(api: Api, pool: Pool, db: TableRows) -> None:
    """Of 20,000 series it takes longer to make than a part with few lines to read."""
    acme = await db.organization()
    for day in ("2026-08-03", "2026-09-01", "2026-09-22", "2026-11-01"):
        await db.use(acme, "api", "namespace", f"n{day}", day, 5)
    for path in ("usage.csv?range=all", "focus.csv?range=all"):
        export = UUID((await make(api, path)).headers[HEADER])
        async with read_as(pool, "org_acme", "") as session:
            parts = [part async for part in read_kept(session, export)]
        indexes = [part.labels for part in parts if isinstance(part, KeptLines)]
        assert len(indexes) > 2
        assert all(index is indexes[0] for index in indexes)
        assert len(indexes[0].labels) == 4


async def test_files_older_than_the_ledger_are_the_first_to_go(open_api: OpenApi, db: TableRows) -> None:
    acme = await db.organization()
    await db.use(acme, "api", "namespace", "search", "2026-11-01", 5)
    async with open_api() as api:
        first = await make(api, "usage.csv?from=2026-11&to=2026-11", sub="someone")
    of_lines = await db.count("SELECT octet_length(data) FROM export_blocks JOIN export_lines ON lines_block = block")
    size = await db.count(BLOCKS)

    async def change() -> None:
        await db.execute("UPDATE usage_daily SET credits = credits + 1")

    limits = ExportLimits(organization_bytes=int(size + 3.95 * of_lines), of_request=1)
    async with open_api(export_limits=limits) as api:
        files = []
        for day in (465, 466, 467, 468):
            await change()
            api.now = NOW + timedelta(days=day)
            files.append(await make(api, "usage.csv?from=2026-11&to=2026-11"))
        # The first is the newest of its request, and too old; the others are of one request and would go before it.
        answer = await api.ask(f"{MANIFESTS}/{first.headers[HEADER]}/file")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/lines-not-kept")
        await made_again(api, files)
    limits = ExportLimits(manifests=4, of_request=1)
    async with open_api(export_limits=limits) as api:
        api.now = NOW + timedelta(days=469)
        await change()
        files = [*files[1:], await make(api, "usage.csv?from=2026-11&to=2026-11")]
        await made_again(api, files)
        assert (await api.ask(f"{MANIFESTS}/{first.headers[HEADER]}")).status_code == 404
        listed = {each["manifest"]["id"] for each in (await api.get(MANIFESTS))["exports"]}
        assert listed == {file.headers[HEADER] for file in files}


async def test_files_that_are_recorded_at_the_same_time_keep_all_that_they_share(pool: Pool, db: TableRows) -> None:
    """While others are deleted."""
    acme = await db.organization()
    blocks = {hashlib.sha256(bytes([at]) * 100).digest(): bytes([at]) * 100 for at in range(12)}
    limits = ExportLimits(manifests=6, organization_bytes=700)

    async def store(number: int) -> None:
        chance = random.Random(number)
        for minute in range(12):
            some = dict(chance.sample(sorted(blocks.items()), 3))
            kept = KeptFile([NewPart(None, None, None, block) for block in some], some)
            at = NOW + timedelta(minutes=minute)
            request = bytes([chance.randint(0, 3)])
            new = NewManifest(uuid4(), at, "{}", None, request, f"{chance.random()}", None, None)
            async with write_as(pool, "org_acme") as session:
                await insert_export(session, limits, new, kept)

    await asyncio.gather(*(store(number) for number in range(3)))
    kept = "SELECT count(*) FROM export_lines JOIN export_blocks ON block = lines_block"
    manifests = await db.count("SELECT count(DISTINCT export_id) FROM export_lines")
    assert manifests > 0
    assert await db.count("SELECT count(*) FROM export_lines") == await db.count(kept) == 3 * manifests
    assert await db.count("SELECT count(*) FROM export_manifests") == 6
    assert await db.count("SELECT count(*) FROM export_blocks") == await db.count("SELECT count(DISTINCT lines_block) FROM export_lines")  # fmt: skip
    assert await db.count(f"{BLOCKS} WHERE organization_id = {acme}") <= 700


async def test_an_organization_evicts_nothing_of_another(open_api: OpenApi, db: TableRows) -> None:
    """Nor does it share anything: whether a block exists says nothing about others."""
    for name in ("org_acme", "org_other"):
        await db.use(await db.organization(name), "api", "namespace", "search", "2026-11-01", 5)
    async with open_api() as api:
        other = await make(api, "usage.csv?range=all", organization="org_other")
    async with open_api(export_limits=ExportLimits(manifests=1, organization_bytes=1)) as api:
        own = await make(api, "usage.csv?range=all")
        assert (await api.ask(f"{MANIFESTS}/{own.headers[HEADER]}/file")).status_code == 409
        again = await api.ask(f"{MANIFESTS}/{other.headers[HEADER]}/file", organization="org_other")
        assert again.content == other.content
    blocks = "SELECT count(*) FROM export_blocks WHERE organization_id ="
    assert (await db.count(f"{blocks} 1"), await db.count(f"{blocks} 2")) == (0, 2)


async def test_a_file_waits_for_others_that_are_recorded_longer_than_for_a_lock(
    api: Api, db: TableRows, database: Database
) -> None:
    """Statements of the tests' pool wait 2.5 s for locks. The client has all but the end of the file by then."""
    acme = await db.organization()
    await db.use(acme, "assistant", "tool", "jira", "2026-11-05", 7)
    owner = await asyncpg.connect(database.dsn)
    try:
        async with owner.transaction():
            await owner.execute("SELECT pg_advisory_xact_lock(hashtext('flexcredits.exports'), $1)", acme)
            making = asyncio.create_task(make(api, "usage.csv?range=all"))
            await asyncio.sleep(4)
            assert not making.done()
        await made_again(api, [await making])
    finally:
        await owner.close()
