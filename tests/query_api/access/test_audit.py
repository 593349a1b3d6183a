"""The audit log: every audited action has an entry, entries never change, and only admins can read them."""

from contextlib import suppress

import asyncpg
import pytest
from query_api.access.audit import audit
from query_api.access.refusals import REFUSAL_AUDITED_EVERY_S, REFUSALS_REMEMBERED_MAX, Refusals
from query_api.auth.principal import Principal
from query_api.db.session import write_as
from query_api.db.statements import SQL
from query_api.http.origin import ORIGIN, Origin
from runtime.postgres.pool import Pool
from support.data.table_rows import TableRows
from support.services.query_api import Api

ADA = Principal("user-1", "org_acme", "admin", "ada@acme.example")


@pytest.fixture(autouse=True)
def origin() -> None:
    ORIGIN.set(Origin("request-1", "192.0.2.7"))


async def test_an_audit_entry_is_part_of_its_transaction(pool: Pool, db: TableRows) -> None:
    await db.organization()
    async with write_as(pool, "org_acme") as session:
        await audit(session, ADA, "settings.change", {"old": 1, "new": "x\r\nforged=line"})
    with suppress(KeyError):
        async with write_as(pool, "org_acme") as session:
            await audit(session, ADA, "settings.change", {})
            raise KeyError
    (row,) = await db.fetch("SELECT *, host(ip) AS peer FROM audit_log")
    assert (row["subject"], row["email"], row["role"], row["action"]) == (
        "user-1",
        "ada@acme.example",
        "admin",
        "settings.change",
    )
    assert (row["details"], row["request_id"], row["peer"]) == (
        '{"old": 1, "new": "x\\r\\nforged=line"}',
        "request-1",
        "192.0.2.7",
    )


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET role = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
async def test_what_is_written_is_never_changed(pool: Pool, db: TableRows, statement: str) -> None:
    await db.audit_entry(await db.organization(), "user-1")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["act_for"], "org_acme")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_no_organization_writes_into_the_log_of_another(pool: Pool, db: TableRows) -> None:
    await db.organization()
    other = await db.organization("org_other")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["act_for"], "org_acme")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(SQL["insert_audit"], other, "s", "", "", "a", "{}", "r", None)


async def test_a_refusal_is_audited_once_a_while(api: Api, db: TableRows) -> None:
    await db.organization()
    for _ in range(3):
        refused = await api.ask("/api/v1/overview", role="member", sub="user-2", email="dev@acme.example")
        assert refused.status_code == 403
    assert (await api.ask("/api/v1/audit", role="billing_moderator")).status_code == 403
    assert (await api.ask("/api/v1/overview", role="member", organization="org_unknown")).status_code == 403
    entries = (await api.get("/api/v1/audit"))["entries"]
    assert [(entry["action"], entry["subject"], entry["role"]) for entry in entries] == [
        ("access.refused", "user-1", "billing_moderator"), ("access.refused", "user-2", "member")
    ]  # fmt: skip
    assert "Super Admins, Admins and Billing Moderators" in entries[1]["details"]["why"]
    assert entries[1]["request_id"]
    assert entries[1]["ip"] == "127.0.0.1"


async def test_an_answer_names_its_request(api: Api, db: TableRows) -> None:
    await db.organization()
    for given, is_kept in (("trace-0123", True), ("short", False), ("a b c d e f g h", False), ("x" * 65, False)):
        headers = {"Authorization": f"Bearer {api.provider.token()}", "X-Request-Id": given}
        answer = await api.client.get("/api/v1/overview", headers=headers)
        assert (answer.headers["x-request-id"] == given) is is_kept
        assert len(answer.headers["x-request-id"]) >= 8


async def test_pages_show_every_audit_entry_once(api: Api, db: TableRows) -> None:
    acme = await db.organization()
    for number in range(7):
        await db.audit_entry(acme, f"user-{number}")
    seen, path = [], "/api/v1/audit?limit=3"
    while True:
        page = await api.get(path)
        seen += [entry["subject"] for entry in page["entries"]]
        if page["next"] is None:
            break
        await db.audit_entry(acme, "later")  # must not appear on the next page
        path = f"/api/v1/audit?limit=3&before={page['next']}"
    assert seen == [f"user-{number}" for number in range(6, -1, -1)]
    assert (await api.ask("/api/v1/audit?before=x")).status_code == 422
    assert (await api.ask("/api/v1/audit?limit=201")).status_code == 422


def test_who_was_refused_is_remembered_for_a_while_and_not_without_bound() -> None:
    now = 0.0
    refusals = Refusals(lambda: now)
    assert refusals.is_news(ADA)
    assert not refusals.is_news(ADA)
    assert refusals.is_news(ADA._replace(role="member"))
    now += REFUSAL_AUDITED_EVERY_S
    assert refusals.is_news(ADA)
    for number in range(REFUSALS_REMEMBERED_MAX + 5):
        refusals.is_news(ADA._replace(subject=str(number)))
    assert len(refusals._audited_at) <= REFUSALS_REMEMBERED_MAX
