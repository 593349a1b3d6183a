"""No request of one organization ever reads a row of another, also when a WHERE clause is missing."""

import asyncio
import io
import json
import re

import asyncpg
import pyarrow.parquet as pq
import pytest
from query_api.app import build_app
from query_api.contracts.queries import select_days
from query_api.db.session import NotIsolated, find_problem, read_as
from query_api.db.statements import SQL
from query_api.description.examples import ANSWERS, BODIES
from runtime.postgres.pool import Pool, open_pool
from support.data.people_rows import actor, attribution, group, run_use, show
from support.data.people_usage import PeopleRows
from support.data.table_rows import NOW, TableRows
from support.infra.stack import Database
from support.services.query_api import Api, OpenApi

PATHS = [
    "/api/v1/overview",
    *(f"/api/v1/projection?{query}" for query in ("", "product=api", "product=agents&agent=saved")),
    *(
        f"/api/v1/breakdown?product={product}&view={view}&range=all"
        for product, view in (
            ("assistant", "models"), ("assistant", "tools"), ("assistant", "other_features"),
            ("agents", "agents"), ("agents", "features"), ("api", "namespaces"),
        )
    ),
    *(
        f"/api/v1/trend?from=2026-11-22&to=2026-11-22&interval={interval}&group_by={group_by}"
        for interval in ("hour", "week")
        for group_by in ("product", "category", "feature", "agent", "surface")
    ),
    *(
        f"/api/v1/breakdown?product=agents&view=features&from=2026-11&to=2026-11&{query}"
        for query in ("surface=web", "group_by=surface", "categories=now", "limit=1")
    ),
    "/api/v1/deleted-agents?range=all",
    *(
        f"/api/v1/usage/people?range=all&{query}"
        for query in ("by=person", "by=group", "by=group&membership=now", "by=label&label_key=team", "actor=actor", "group=group", "label=team:red")
    ),
    "/api/v1/usage/drivers?range=all",
    "/api/v1/explain?range=all&before_from=2026-08&before_to=2026-08&people=true&limit=100",
    "/api/v1/freshness",
    "/api/v1/proof?hours=168",
    "/api/v1/banner",
    "/api/v1/alerts",
    "/api/v1/alerts/settings",
    "/api/v1/alerts/test-mail",
    "/api/v1/alert-channels",
    "/api/v1/api-keys",
    "/api/v1/mappings/ready-made",
    "/api/v1/audit",
    "/api/v1/credit-periods",
    "/api/v1/reconcile",
    "/api/v1/reconcile/people?by=person",
    "/api/v1/reconcile/people?by=group",
    "/api/v1/receipt?source=/products/api&id=event-1",
    "/api/v1/usage/runs?range=all",
    "/api/v1/usage/runs/run-1",
    "/api/v1/me/usage?range=all",
    "/api/v1/export/usage.csv?range=all",
    "/api/v1/export/people.csv?range=all",
    "/api/v1/export/focus.csv?range=all",
    "/api/v1/export/focus.csv?version=1.4&range=all",
    "/api/v1/export/focus.csv?version=1.4&dataset=contract-commitment&range=all",
    "/api/v1/export/focus.csv?version=1.4&dataset=billing-period&range=all",
    "/api/v1/export/focus.csv?version=1.4&dataset=invoice-detail&range=all",
    "/api/v1/export/table.csv?product=agents&view=features&range=all",
    "/api/v1/export/usage.parquet?range=all",
    "/api/v1/export/people.parquet?range=all",
    "/api/v1/export/focus.parquet?range=all",
    "/api/v1/export/focus.json?range=all",
    "/api/v1/export/table.parquet?product=agents&view=features&range=all",
    "/api/v1/export/manifests",
]  # fmt: skip
# Deployment-wide by design, without any customer's name: the progress of partitions, and which migrations were applied.
SHARED_TABLES = {"partition_progress", "partition_hours", "partition_ends", "schema_migrations"}


WRITES = {
    ("sessions", "INSERT"), ("sessions", "DELETE"), ("audit_log", "INSERT"), ("alert_settings", "INSERT"),
    ("alert_settings", "UPDATE"), ("banner_dismissals", "INSERT"),
    *((table, privilege) for table in ("export_manifests", "export_lines", "export_blocks") for privilege in ("INSERT", "DELETE")),
    *(("api_key_mappings", privilege) for privilege in ("INSERT", "UPDATE", "DELETE")),
}  # fmt: skip
"""Also, UPDATE of sessions.last_seen_at and export_manifests.kept_bytes, and INSERT of the alerter's wake-ups and requests without their times."""


OF_KEYS = (
    "SELECT DISTINCT o.organization_id FROM api_key_mappings JOIN api_keys USING (key_id)"
    " JOIN organizations o ON o.organization = ANY (organizations)"
)
"""The organizations of the mappings that a statement without WHERE shows."""


PARTS = ("", "/file", "/signature", "/changes")
"""What can be read of an exported file."""
READ_BY_ID = {
    "/api/v1/alerts/{id}", "/api/v1/alert-channels/{id}/deliveries", "/api/v1/api-keys/{key_id}/mapping",
    *(f"/api/v1/export/manifests/{{export_id}}{part}" for part in PARTS),
}  # fmt: skip
"""Also read by read_everything(), for the ids of the lists."""
WITHOUT_ROWS = {"/api/v1/session", "/login", "/login/callback", "/api/v1/export/key.pub"}
"""They answer about the caller, or the deployment."""
STREAMED = {"/api/v1/live"}
"""It sends what overview and banner answer; live/test_live.py holds it to its organization."""


async def fill(db: TableRows, name: str) -> int:
    """An organization whose texts all contain its name, and whose amounts no other organization has."""
    number = await db.organization(name, "Asia/Kathmandu", billing_moderators=True)
    team = (f"team-{name}", f"team@{name}", f"https://team/{name}")
    await db.contract(number, f"contract-{name}", "2026-01-01", "2027-01-01", account_team=team)
    await db.period(number, f"contract-{name}", f"period-{name}", "2026-01-01", "2027-01-01", total=1000 + number)
    await db.execute(
        "INSERT INTO add_ons VALUES ($1, $2, $3, 0, $4, 1, true)",
        number, f"contract-{name}", f"period-{name}", f"add-on-{name}",
    )  # fmt: skip
    for product, kind in (("assistant", "model"), ("assistant", "tool"), ("assistant", "feature"), ("agents", "tool"), ("api", "namespace")):  # fmt: skip
        await db.feature(number, product, kind, f"{kind}-{name}", "2026-01-01", f"category-{name}", f"display-{name}")
        for agent in (f"saved-{name}", f"deleted-{name}") if product == "agents" else ("",):
            series = await db.use(number, product, kind, f"{kind}-{name}", "2026-11-01", 10**number, agent=agent)
            await db.correct(number, product, kind, f"{kind}-{name}", "2026-11-01", -number, agent=agent)
            await db.ledger(number, series, NOW, 10**number)
            await db.hold(number, series)
    # Both organizations have an event with this source and id. The token decides whose event it is.
    await db.event(name, number, series, "/products/api", "event-1", 10**number)
    # Both have a run with this id, and a person with the caller's.
    await actor(db, number, "user-1", f"actor-{name}", groups={"2026-01-01": [f"group-{name}"]})
    await group(db, number, f"group-{name}", f"team-{name}", f"parent-{name}")
    await show(db, number, "named", label_keys=["project"])
    who = await attribution(db, number, "user-1", labels={"project": f"label-{name}"})
    for run, parent in (("run-1", f"above-{name}"), (f"below-{name}", "run-1")):
        await run_use(
            db, number, name, run, run, NOW, 10**number, attribution=who, parent=parent, product="api", kind="namespace",
            feature=f"namespace-{name}", agent="", zone="Asia/Kathmandu",
        )  # fmt: skip
    people = PeopleRows(db, number)
    await people.configure(label_keys=["project", "team"])
    # Both organizations have these ids.
    await people.use("actor", "2026-11-01", 10**number, group="group", labels={"team": "red"}, feature=f"tool-{name}")
    await people.use(
        f"actor-{name}", "2026-11-01", 10**number, labels={"team": f"value-{name}"}, feature=f"tool-{name}"
    )
    await people.actor("actor", f"actor-name-{name}", f"actor@{name}")
    await people.member(f"actor-{name}", "2026-11-01", f"group-{name}")
    await people.group("group", f"group-name-{name}", f"group-{name}")
    await db.agent(number, f"deleted-{name}", "deleted", f"agent-{name}")
    await db.sighting(number, f"saved-{name}", "saved", f"agent-{name}", ever_saved=True)
    await db.execute("INSERT INTO members VALUES ($1, 'ada@acme.example', $2, 'admin', false, now(), 0)", number, name)
    await db.execute("INSERT INTO ledger_seals VALUES (1, $1, 1, 1)", number)
    await db.execute("INSERT INTO correction_reasons VALUES (1, gen_random_uuid(), $1, $2)", number, name)
    await db.execute("INSERT INTO usage_late VALUES ($1, '2026-11-01', '2026-11-02', 'api', 1, 1)", number)
    await db.execute("INSERT INTO zone_rules (organization_id, time_zone) VALUES ($1, $2)", number, name)
    await db.execute(
        "INSERT INTO quarantine (organization_id, component, step, reason, retry_at) VALUES ($1, 'retention', 'sealing', $2, now())",
        number, name,
    )  # fmt: skip
    await db.execute(
        "INSERT INTO rates (organization_id, product, feature_kind, feature, unit, credits, per, received_at, catalog_offset, source, event_id)"
        " VALUES ($1, 'api', 'model', $2, 'tokens', 1, 1, now(), 0, '/admin', $2)", number, name,
    )  # fmt: skip
    await db.execute("INSERT INTO catalog_reloads (organization_id) VALUES ($1)", number)
    await db.execute("INSERT INTO rebuilds (organization_id, time_zone) VALUES ($1, $2)", number, f"Zone/{name}")
    await db.execute(
        "INSERT INTO alert_settings (organization_id, usage_thresholds, usage_recipients, budget_recipients, updated_by)"
        " VALUES ($1, $2, $3, $3, $4)", number, [60 + number], [f"added@{name}"], f"admin@{name}",
    )  # fmt: skip
    await db.member(number, f"role@{name}")
    await db.audit_entry(number, f"person-{name}")
    await db.execute(
        "INSERT INTO sessions VALUES (sha256($2::text::bytea), $1, $2, $2, $2, $2, 'admin', now(), now(), now())",
        number,
        name,
    )
    await db.execute("INSERT INTO alert_state VALUES ($1, $2)", number, NOW)
    await db.execute(
        "INSERT INTO alert_projections VALUES ($1, 'usage', $2, $2, '2026-11-01', '2026-12-01', '2026-11-22', 1, '{}', '{}', '{}', '{}', '{}', 'days_missing', $2, $3)",
        number, f"projection-{name}", NOW,
    )  # fmt: skip
    threshold, its_period = 60 + number, {"period": f"period-{name}", "contract": f"contract-{name}"}
    await db.banner(number, threshold, **its_period)
    firing = await db.firing(number, threshold, used=10**number, **its_period)
    email = await db.email(number, firing, f"ada@{name}", attempts=1)
    await db.attempt(number, email, 1, "deferred", f"450 no mailbox {name}")
    await db.attempt(number, await db.email(number, None, "ada@acme.example"), 1, "deferred", f"450 no test {name}")
    await db.execute("INSERT INTO banner_dismissals VALUES ($1, $2, $3)", number, f"person-{name}", firing)
    channel = await db.count(
        "INSERT INTO alert_channels (organization_id, kind, name, masked_url, url, created_by) VALUES ($1, 'slack', $2, $2, $2, $2)"
        " RETURNING channel_id", number, f"channel-{name}",
    )  # fmt: skip
    await db.notice(number, channel, f"fired.{name}", "fired", firing, "failed", [("refused", f"404 no hook {name}")])
    export = await db.fetch(
        "INSERT INTO export_manifests VALUES ($1, gen_random_uuid(), $2, $3, $3, 1) RETURNING export_id",
        number, NOW, json.dumps(ANSWERS["/api/v1/export/manifests/{export_id}"] | {"file": f"file-{name}"}),
    )  # fmt: skip
    await db.execute(
        "INSERT INTO export_lines VALUES ($1, $2, 0, '2026-11-01', $3, NULL, '')", number, export[0][0], [NOW, NOW]
    )
    await db.execute("INSERT INTO export_blocks VALUES ($1, $2, $2)", number, f"block-{name}".encode())
    key = await db.api_key(f"key{number}", name, products=[f"product-{name}"])
    await db.mapping(key, f"rule-{name}", f"mapper@{name}")
    return number


def test_every_route_that_reads_is_asked() -> None:
    described = {path for path, operations in build_app(None).openapi()["paths"].items() if "get" in operations}
    asked = {path.partition("?")[0].replace("run-1", "{run_id}") for path in PATHS}
    assert asked | READ_BY_ID | WITHOUT_ROWS | STREAMED == described


def text_of(file: bytes) -> str:
    return str(pq.read_table(io.BytesIO(file)).to_pylist())


async def read_everything(api: Api, organization: str) -> str:
    texts = []
    for path in PATHS:
        answer = await api.ask(path, organization=organization)
        assert answer.status_code == 200, answer.text
        texts.append(text_of(answer.content) if ".parquet" in path else answer.text)
    export = (await api.ask("/api/v1/export/usage.csv?range=all", organization=organization)).headers[
        "flexcredits-export"
    ]
    for part in PARTS:
        answer = await api.ask(f"/api/v1/export/manifests/{export}{part}", organization=organization)
        texts.append(answer.text.replace(export, "its-id"))
    for alert in (await api.get("/api/v1/alerts", organization=organization))["alerts"]:
        texts.append((await api.ask(f"/api/v1/alerts/{alert['id']}", organization=organization)).text)
    for channel in (await api.get("/api/v1/alert-channels", organization=organization))["channels"]:
        path = f"/api/v1/alert-channels/{channel['id']}/deliveries"
        texts.append((await api.ask(path, organization=organization)).text)
    for key in (await api.get("/api/v1/api-keys", organization=organization))["keys"]:
        path = f"/api/v1/api-keys/{key['id']}/mapping"
        texts.append((await api.ask(path, organization=organization)).text)
    preview = await api.send(
        "POST", "/api/v1/alerts/preview", BODIES["/api/v1/alerts/preview"], organization=organization
    )
    assert preview.status_code == 200, preview.text
    return "\n".join([*texts, preview.text])


def without_audit(text: str) -> str:
    """The text without the audit log and the list of files, which grow with every export."""
    return "\n".join(line for line in text.split("\n") if not line.startswith(('{"entries"', '{"exports"')))


async def test_two_organizations_hammering_one_connection_never_see_each_other(
    open_api: OpenApi, db: TableRows, database: Database
) -> None:
    names = ("CANARY_ONE", "CANARY_TWO")
    for name in names:
        await fill(db, name)
    dsn = database.roles["flexcredits_api"]
    async with (
        open_pool(dsn, application="test", size=1, at_least=0, statement_timeout_s=10) as pool,
        open_api(pool) as api,
    ):
        alone = {name: await read_everything(api, name) for name in names}
        together = await asyncio.gather(*(read_everything(api, names[turn % 2]) for turn in range(10)))
        async with pool.acquire() as connection:
            # The connection keeps no setting of the last organization.
            assert await connection.fetchval("SELECT current_setting('app.organization', true)") in ("", None)
            assert await connection.fetchval("SELECT count(*) FROM usage_daily") == 0
    for turn, text in enumerate(together):
        name, other = names[turn % 2], names[1 - turn % 2]
        assert other.lower() not in text.lower()
        assert without_audit(text) == without_audit(alone[name])
    for name, other in (names, names[::-1]):
        assert set(re.findall(r"CANARY_\w+?(?=[\"\s])", alone[name])) == {name}
        assert other.lower() not in alone[name].lower()
        for canary in (f'"id":"period-{name}"', f'"recipient":"ada@{name}"', f'"last_error":"450 no mailbox {name}"',
                       f'"name":"add-on-{name}"', f'"email":"team@{name}"', f'"feature":"namespace-{name}"',
                       f'"subject":"person-{name}"', f",display-{name},", f'"added@{name}"', f'"role@{name.lower()}"',
                       f'"updated_by":"admin@{name}"', f'"last_error":"450 no test {name}"', f'"detail":"450 no mailbox {name}"',
                       f'"name":"channel-{name}"', f'"product-{name}"', f'"updated_by":"mapper@{name}"', f'"name":"rule-{name}"', f'"detail":"404 no hook {name}"',
                       f'"name":"actor-{name}"', f'"name":"team-{name}"', f'"project":"label-{name}"', f'"id":"above-{name}"',
                       f'"id":"below-{name}"', f'"file":"file-{name}"',
                       f'"name":"actor-name-{name}"', f'"id":"actor-{name}"', f'"name":"group-name-{name}"', f'"id":"value-{name}"'):  # fmt: skip
            assert canary in alone[name]


async def test_without_an_organization_no_table_shows_a_row(db: TableRows, pool: Pool) -> None:
    await fill(db, "org_acme")
    for organization in (None, "", "org_unknown", "org_acme' OR true --"):
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            if organization is not None:
                await connection.execute(SQL["act_for"], organization)
            for table in await readable_tables(connection):
                assert await connection.fetchval(f'SELECT count(*) FROM "{table}"') == 0, (table, organization)


async def test_a_forgotten_where_clause_shows_one_organization(db: TableRows, pool: Pool) -> None:
    acme = await fill(db, "org_acme")
    await fill(db, "org_other")
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(SQL["act_for"], "org_acme")
        without_rows = set()
        for table in await readable_tables(connection):
            rows = await connection.fetch(OF_KEYS if table == "api_key_mappings" else f'SELECT DISTINCT organization_id FROM "{table}"')  # fmt: skip
            seen = {row["organization_id"] for row in rows}
            assert seen <= {acme, 0}, table
            if acme not in seen:
                without_rows.add(table)
    assert without_rows == {"sessions"}  # A session shows its row only with its own cookie.


async def readable_tables(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')"
        " AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1"
    )
    names = {str(row["relname"]) for row in rows}
    assert {"usage_daily", "usage_ledger", "ledger_seals", "organizations"} <= names
    assert {"sessions", "audit_log"} <= names
    assert {"usage_attributed_daily", "usage_attributed_monthly", "usage_attributions", "usage_runs"} <= names
    assert {"actors", "actor_groups", "people_groups"} <= names
    assert {
        "alert_settings",
        "alert_firings",
        "alert_projections",
        "banners",
        "banner_dismissals",
        "email_outbox",
        "email_attempts",
        "alert_deliveries",
        "alert_delivery_attempts",
    } <= names
    # Not readable: the alerter only locks the first table, and the query API only writes the others.
    assert not {"alert_state", "alert_wakeups", "mail_requests"} & names
    return sorted(names - SHARED_TABLES)


async def test_every_readable_table_is_secured_and_the_role_may_write_only_its_own(db: TableRows, pool: Pool) -> None:
    async with pool.acquire() as connection:
        for table in await readable_tables(connection):
            assert await connection.fetchval("SELECT row_security_active($1)", table), table
        rows = await connection.fetch(
            "SELECT c.relname, p.privilege FROM pg_class c, unnest('{INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p(privilege)"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND has_table_privilege(c.oid, p.privilege)"
        )
        assert {(row["relname"], row["privilege"]) for row in rows} == WRITES
        role = await connection.fetchrow("SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user")  # fmt: skip
        assert role is not None
        assert not any(role.values())


async def test_a_role_that_row_level_security_does_not_bind_is_refused(
    open_api: OpenApi, db: TableRows, database: Database
) -> None:
    await fill(db, "org_acme")
    async with open_pool(database.dsn, application="test", size=1, at_least=0, statement_timeout_s=10) as owners:
        assert "row-level security" in str(await find_problem(owners))
        with pytest.raises(NotIsolated):
            async with read_as(owners, "org_acme", ""):
                pass
        async with open_api(owners) as api:
            answer = await api.ask("/api/v1/overview")
    assert answer.status_code == 500
    assert answer.json() == {
        "type": "/problems/internal", "title": "Internal error", "status": 500, "detail": "The error has been logged. Try again in a moment."
    }  # fmt: skip


async def test_reads_cannot_write(db: TableRows, pool: Pool) -> None:
    await db.organization()
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with read_as(pool, "org_acme", "") as session:
            await session.connection.execute("CREATE TEMPORARY TABLE t ()")


async def test_reads_of_a_request_see_one_instant(db: TableRows, pool: Pool) -> None:
    acme = await db.organization()
    await db.use(acme, "api", "namespace", "search", "2026-11-01", 1)
    async with read_as(pool, "org_acme", "") as session:
        before = await select_days(session)
        await db.use(acme, "api", "namespace", "search", "2026-11-02", 1)
        assert await select_days(session) == before
