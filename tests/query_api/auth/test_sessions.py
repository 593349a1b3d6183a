"""Sign-in with a browser: the whole flow with the real development issuer, and the lifetime of sessions."""

from datetime import timedelta

import asyncpg
import pytest
from flexcredits_cli.dev_idp.tokens import key_path, load_key, mint_token
from flexcredits_cli.machine.state_folder import StateFolder
from query_api.auth.cookies import Cookies, hash_id
from query_api.db.statements import SQL
from runtime.postgres.pool import Pool
from support.clients.sign_in import DASHBOARD, IDLE, LIFETIME, SAME_ORIGIN, Browser, open_browser
from support.data.table_rows import NOW, TableRows


async def test_a_user_who_signs_in_is_led_back_and_may_read(browser: Browser, demo: int) -> None:
    assert await browser.status() == 401
    answer = await browser.enter()
    assert (answer.status_code, answer.headers["location"]) == (302, "/usage?view=agents")
    assert answer.headers["cache-control"] == "no-store"
    assert await browser.status() == 200
    assert (await browser.client.get("/api/v1/session")).json() == {
        "email": "ada@demo.example", "name": "Ada", "organization": "org_demo", "role": "super_admin", "people": "named", "my_usage": True,
        "organization_name": "org_demo", "locale": "en-US", "time_zone": "UTC",
        "expires_at": "2026-11-23T00:00:00Z", "auth_method": "session", "refusal_reason": None,
    }  # fmt: skip


async def test_signing_in_and_out_is_audited(browser: Browser, db: TableRows, demo: int) -> None:
    await browser.enter()
    await browser.client.post("/logout", headers=SAME_ORIGIN)
    rows = await db.fetch("SELECT * FROM audit_log ORDER BY audit_id")
    assert [(row["action"], row["email"], row["role"]) for row in rows] == [
        ("session.begin", "ada@demo.example", "super_admin"), ("session.end", "ada@demo.example", "super_admin"),
    ]  # fmt: skip


async def test_the_cookie_cannot_be_read_sent_elsewhere_or_overheard(pool: Pool, issuer: str, demo: int) -> None:
    for dashboard, name, secure in (
        (DASHBOARD, "flexcredits", False),
        ("https://flex.example", "__Host-flexcredits", True),
    ):
        cookies = Cookies(dashboard, IDLE, LIFETIME)
        async with open_browser(pool, issuer, dashboard) as browser:
            answer = await browser.client.get("/login")
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith(f"{name}-sign-in=")
        assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
        assert ("Secure" in cookie.split("; ")) is secure
        assert "Domain" not in cookie
        assert cookies.session == name


async def test_only_a_hash_of_the_session_id_is_stored(browser: Browser, db: TableRows, demo: int) -> None:
    await browser.enter()
    session_id = browser.client.cookies["flexcredits"]
    rows = await db.fetch("SELECT * FROM sessions")
    assert [row["session_sha256"].hex() for row in rows] == [hash_id(session_id)]
    assert session_id not in repr(rows)


async def test_signing_out_ends_the_session_everywhere(browser: Browser, demo: int) -> None:
    await browser.enter()
    cookie = browser.client.cookies["flexcredits"]
    answer = await browser.client.post("/logout", headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["clear-site-data"]) == (204, '"cache"')
    assert "flexcredits" not in browser.client.cookies
    assert await browser.status(Cookie=f"flexcredits={cookie}") == 401
    assert (await browser.client.post("/logout", headers=SAME_ORIGIN)).status_code == 204  # again, without a session


async def test_signing_in_again_ends_the_session_before(browser: Browser, demo: int) -> None:
    await browser.enter()
    before = browser.client.cookies["flexcredits"]
    await browser.enter(role="admin", email="ben@demo.example")
    assert browser.client.cookies["flexcredits"] != before
    assert (await browser.client.get("/api/v1/session")).json()["role"] == "admin"
    browser.client.cookies.clear()
    assert await browser.status(Cookie=f"flexcredits={before}") == 401


async def test_a_bearer_token_goes_before_the_cookie(
    browser: Browser, issuer_state: StateFolder, issuer: str, demo: int
) -> None:
    await browser.enter()
    token = mint_token(load_key(key_path(issuer_state)), issuer, "org_demo", "member", "dev@demo.example")
    assert await browser.status(Authorization=f"Bearer {token}") == 403
    assert await browser.status(Authorization="Bearer x") == 401
    assert await browser.status() == 200


async def test_everyone_may_sign_in_and_only_the_roles_may_read(browser: Browser, demo: int) -> None:
    answer = await browser.enter(role="member", email="dev@demo.example")
    assert (answer.status_code, answer.headers["location"]) == (302, "/usage?view=agents")
    assert (await browser.client.get("/api/v1/session")).json()["email"] == "dev@demo.example"
    refused = await browser.client.get("/api/v1/overview")
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    assert "Contact a Super Admin of your organization" in refused.json()["detail"]


async def test_a_session_ends_by_disuse(browser: Browser, demo: int) -> None:
    await browser.enter()
    for _ in range(3):
        browser.now += IDLE - timedelta(minutes=2)
        assert await browser.status() == 200
    browser.now += IDLE
    assert await browser.status() == 401
    browser.now -= IDLE
    assert await browser.status() == 401  # it stays ended


async def test_a_session_ends_after_a_working_day_however_busy(browser: Browser, demo: int) -> None:
    await browser.enter()
    while browser.now < NOW + LIFETIME - timedelta(minutes=30):
        browser.now += timedelta(minutes=30)
        assert await browser.status() == (200 if browser.now < NOW + LIFETIME else 401)
    browser.now = NOW + LIFETIME
    assert await browser.status() == 401


async def member(db: TableRows, number: int, role: str, *, removed: bool = False) -> None:
    await db.execute(
        "INSERT INTO members VALUES ($1, 'ada@demo.example', 'Ada', $2, $3, now(), 0) ON CONFLICT (organization_id, email)"
        " DO UPDATE SET role = excluded.role, removed = excluded.removed, event_at = now()",
        number, role, removed,
    )  # fmt: skip


async def test_who_leaves_is_refused_at_the_next_request_and_another_role_asks_to_sign_in_again(
    browser: Browser, db: TableRows, demo: int
) -> None:
    await browser.enter()
    await member(db, demo, "super_admin")
    assert await browser.status() == 200
    await member(db, demo, "super_admin", removed=True)
    assert await browser.status() == 403
    await member(db, demo, "member")
    assert await browser.status() == 401
    await browser.enter()
    await db.execute("UPDATE members SET event_at = $1", NOW - timedelta(days=1))
    assert await browser.status() == 200  # the catalog event is older than the sign-in


async def test_no_session_is_seen_by_who_does_not_present_it(browser: Browser, pool: Pool, demo: int) -> None:
    await browser.enter()
    own = hash_id(browser.client.cookies["flexcredits"])
    async with pool.acquire() as connection:
        for organization in ("", "org_demo"):
            for session, seen in (("", 0), ("00" * 32, 0), (own, 1)):
                async with connection.transaction():
                    await connection.execute(SQL["act_for"], organization)
                    await connection.execute(SQL["present_session"], session)
                    assert await connection.fetchval("SELECT count(*) FROM sessions") == seen
                    assert await connection.execute("UPDATE sessions SET last_seen_at = now()") == f"UPDATE {seen}"
        assert await connection.fetchval("SELECT count(*) FROM sessions") == 0
        assert await connection.execute("DELETE FROM sessions") == "DELETE 0"
        for column in ("role", "organization", "subject", "expires_at"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"UPDATE sessions SET {column} = {column}")


async def test_a_session_is_only_begun_in_the_organization_that_is_acted_for(
    pool: Pool, db: TableRows, demo: int
) -> None:
    other = await db.organization("org_other")
    values = ("org_other", "s", "", "", "admin", NOW, NOW)
    for organization, number in (("org_demo", other), ("org_demo", demo), ("", other)):
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(SQL["act_for"], organization)
            await connection.execute(SQL["present_session"], "ab" * 32)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(SQL["insert_session"], "ab" * 32, number, *values, True)
            await transaction.rollback()


async def test_ended_sessions_are_forgotten_by_the_next_who_signs_in(
    browser: Browser, db: TableRows, demo: int
) -> None:
    await browser.enter()
    await db.execute("UPDATE sessions SET expires_at = $1", NOW - timedelta(days=1))
    browser.client.cookies.clear()
    await browser.enter()
    rows = await db.fetch("SELECT session_sha256 FROM sessions")
    assert [row[0].hex() for row in rows] == [hash_id(browser.client.cookies["flexcredits"])]
