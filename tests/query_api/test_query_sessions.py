"""Signing in with a browser: the whole flow against the real development issuer, and who tries to get in otherwise."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest
from flexcredits_local.authorization import CLIENT_ID
from flexcredits_local.folders import StateFolder
from flexcredits_local.issuer import AUTHORIZATION_PATH, JWKS_PATH, TOKEN_PATH
from flexcredits_local.services import issuer_program
from flexcredits_local.tokens import AUDIENCE, issuer_url, key_path, load_key, mint_id_token, mint_token
from hypothesis import given
from hypothesis import strategies as st
from query_api.access import SigningKeys, Verifier, fetch_from
from query_api.answers import Refused
from query_api.app import Observed, build_app
from query_api.examples import BODIES
from query_api.handshake import Handshake, is_local, read_handshake
from query_api.issuer import Issuer
from query_api.policies import Parts, SignIn
from query_api.sessions import Cookies, hash_id
from query_api.store import SQL
from querying import NOW, TOPIC, Books
from runtime.postgres import Pool
from service_process import free_port
from stack import running

DASHBOARD = "http://127.0.0.1:8081"
IDLE, LIFETIME = timedelta(hours=1), timedelta(hours=12)
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> StateFolder:
    return StateFolder(tmp_path_factory.mktemp("issuer")).make()


@pytest.fixture(scope="module")
def issuer(state: StateFolder) -> Iterator[str]:
    port = free_port()
    with running(issuer_program(port, state)):
        yield issuer_url(port)


@dataclass
class Browser:
    """A client that keeps cookies and follows redirects only when it is told to; `now` is the API's clock."""

    client: httpx.AsyncClient
    sign_in: SignIn
    now: datetime = NOW

    async def begin(self, to: str = "/usage?view=agents") -> str:
        """The address at the issuer."""
        answer = await self.client.get("/login", params={"to": to})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def choose(self, address: str, role: str = "super_admin", organization: str = "org_demo", email: str = "ada@demo.example") -> str:  # fmt: skip
        """What the issuer's page does when somebody is chosen there; returns the callback's address."""
        async with httpx.AsyncClient(trust_env=False) as web:
            page = await web.get(address)
            assert page.status_code == 200, page.text
            hidden = {
                name: value[0] for name, value in parse_qs(urlsplit(address).query, keep_blank_values=True).items()
            }
            chosen = {"organization": organization, "role": role, "email": email, "name": "Ada"}
            answer = await web.post(address.partition("?")[0], data={**hidden, **chosen})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def enter(self, **whom: str) -> httpx.Response:
        callback = await self.choose(await self.begin(), **whom)
        return await self.client.get(callback)

    async def status(self, path: str = "/api/v1/overview", **headers: str) -> int:
        return (await self.client.get(path, headers=headers)).status_code


@asynccontextmanager
async def open_browser(
    pool: Pool, issuer: str, dashboard: str = DASHBOARD, token_url: str | None = None
) -> AsyncIterator[Browser]:
    verifier = Verifier(SigningKeys(fetch_from(issuer + JWKS_PATH)), issuer, AUDIENCE)
    endpoints = (issuer + AUTHORIZATION_PATH, token_url or issuer + TOKEN_PATH)
    sign_in = SignIn(
        Issuer(verifier, *endpoints, CLIENT_ID, None, f"{dashboard}/login/callback"), Cookies(dashboard, IDLE, LIFETIME)
    )
    parts = Parts(pool, pool, verifier, True, TOPIC, lambda: browser.now, pool, sign_in=sign_in)
    transport = httpx.ASGITransport(Observed(build_app(parts)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=dashboard) as client:
        browser = Browser(client, sign_in)
        yield browser


@pytest.fixture
async def browser(pool: Pool, issuer: str) -> AsyncIterator[Browser]:
    async with open_browser(pool, issuer) as opened:
        yield opened


@pytest.fixture
async def demo(books: Books) -> int:
    return await books.organization("org_demo")


async def test_who_signs_in_is_led_back_and_may_look(browser: Browser, demo: int) -> None:
    assert await browser.status() == 401
    answer = await browser.enter()
    assert (answer.status_code, answer.headers["location"]) == (302, "/usage?view=agents")
    assert answer.headers["cache-control"] == "no-store"
    assert await browser.status() == 200
    assert (await browser.client.get("/api/v1/session")).json() == {
        "email": "ada@demo.example", "name": "Ada", "organization": "org_demo", "role": "super_admin",
        "organization_name": "org_demo", "locale": "en-US", "time_zone": "UTC",
        "expires_at": "2026-11-23T00:00:00Z", "by": "session",
    }  # fmt: skip


async def test_signing_in_and_out_is_audited(browser: Browser, books: Books, demo: int) -> None:
    await browser.enter()
    await browser.client.post("/logout", headers=SAME_ORIGIN)
    rows = await books.fetch("SELECT * FROM audit_log ORDER BY audit_id")
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


async def test_only_a_hash_of_the_session_id_is_stored(browser: Browser, books: Books, demo: int) -> None:
    await browser.enter()
    session_id = browser.client.cookies["flexcredits"]
    rows = await books.fetch("SELECT * FROM sessions")
    assert [row["session_sha256"].hex() for row in rows] == [hash_id(session_id)]
    assert session_id not in repr(rows)


async def test_signing_out_ends_the_session_everywhere(browser: Browser, demo: int) -> None:
    await browser.enter()
    cookie = browser.client.cookies["flexcredits"]
    answer = await browser.client.post("/logout", headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["clear-site-data"]) == (204, '"cache"')
    assert "flexcredits" not in browser.client.cookies
    assert await browser.status(Cookie=f"flexcredits={cookie}") == 401
    assert (await browser.client.post("/logout", headers=SAME_ORIGIN)).status_code == 204  # again, without one


async def test_signing_in_again_ends_the_session_before(browser: Browser, demo: int) -> None:
    await browser.enter()
    before = browser.client.cookies["flexcredits"]
    await browser.enter(role="admin", email="ben@demo.example")
    assert browser.client.cookies["flexcredits"] != before
    assert (await browser.client.get("/api/v1/session")).json()["role"] == "admin"
    browser.client.cookies.clear()
    assert await browser.status(Cookie=f"flexcredits={before}") == 401


async def test_a_bearer_token_goes_before_the_cookie(
    browser: Browser, state: StateFolder, issuer: str, demo: int
) -> None:
    await browser.enter()
    token = mint_token(load_key(key_path(state)), issuer, "org_demo", "member", "dev@demo.example")
    assert await browser.status(Authorization=f"Bearer {token}") == 403
    assert await browser.status(Authorization="Bearer x") == 401
    assert await browser.status() == 200


async def test_everyone_may_sign_in_and_only_the_roles_may_look(browser: Browser, demo: int) -> None:
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
    assert await browser.status() == 401  # ended is ended


async def test_a_session_ends_after_a_working_day_however_busy(browser: Browser, demo: int) -> None:
    await browser.enter()
    while browser.now < NOW + LIFETIME - timedelta(minutes=30):
        browser.now += timedelta(minutes=30)
        assert await browser.status() == (200 if browser.now < NOW + LIFETIME else 401)
    browser.now = NOW + LIFETIME
    assert await browser.status() == 401


async def member(books: Books, number: int, role: str, *, removed: bool = False) -> None:
    await books.execute(
        "INSERT INTO members VALUES ($1, 'ada@demo.example', 'Ada', $2, $3, now(), 0) ON CONFLICT (organization_id, email)"
        " DO UPDATE SET role = excluded.role, removed = excluded.removed, fact_at = now()",
        number, role, removed,
    )  # fmt: skip


async def test_who_leaves_is_refused_at_the_next_request_and_another_role_asks_to_sign_in_again(
    browser: Browser, books: Books, demo: int
) -> None:
    await browser.enter()
    await member(books, demo, "super_admin")
    assert await browser.status() == 200
    await member(books, demo, "super_admin", removed=True)
    assert await browser.status() == 403
    await member(books, demo, "member")
    assert await browser.status() == 401
    await browser.enter()
    await books.execute("UPDATE members SET fact_at = $1", NOW - timedelta(days=1))
    assert await browser.status() == 200  # what was said before the issuer spoke


async def refused(browser: Browser, address: str, why: str) -> None:
    answer = await browser.client.get(address)
    assert answer.status_code == 403, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/sign-in-failed"
    assert why in answer.json()["detail"]
    assert "flexcredits" not in browser.client.cookies
    assert await browser.status() == 401


async def test_a_wrong_state_is_refused(browser: Browser, demo: int) -> None:
    callback = await browser.choose(await browser.begin())
    state = parse_qs(urlsplit(callback).query)["state"][0]
    for wrong in ("", "x", state[:-1], state + "x", "é"):
        await refused(browser, callback.replace(state, wrong), "did not ask")


async def test_a_stolen_callback_is_worth_nothing_in_another_browser(
    browser: Browser, pool: Pool, issuer: str, demo: int
) -> None:
    callback = await browser.choose(await browser.begin())
    async with open_browser(pool, issuer) as thief:
        await refused(thief, callback, "did not ask")
        await thief.begin()
        await refused(thief, callback, "did not ask")
        # Even with a state of his own, the code is bound to the verifier that only the first browser has.
        state = parse_qs(urlsplit(callback).query)["state"][0]
        own = parse_qs(urlsplit(await thief.begin()).query)["state"][0]
        await refused(thief, callback.replace(state, own), "does not take this code")


async def test_a_code_is_good_once(browser: Browser, demo: int) -> None:
    address = await browser.begin()
    handshake = browser.client.cookies["flexcredits-sign-in"]
    callback = await browser.choose(address)
    assert (await browser.client.get(callback)).status_code == 302
    browser.client.cookies.clear()
    await refused(browser, callback, "did not ask")  # the browser has forgotten its half
    browser.client.cookies.set("flexcredits-sign-in", handshake)
    await refused(browser, callback, "does not take this code")


async def test_a_refusal_or_another_issuers_answer_lets_nobody_in(browser: Browser, demo: int) -> None:
    state = parse_qs(urlsplit(await browser.begin()).query)["state"][0]
    await refused(browser, f"/login/callback?state={state}&error=access_denied", "did not let you in")
    await refused(browser, f"/login/callback?state={state}", "did not let you in")
    await refused(
        browser, f"/login/callback?state={state}&code=x&iss=https://evil.example", "another identity provider"
    )
    await refused(browser, f"/login/callback?state={state}&code=x", "does not take this code")


async def test_an_organization_that_nobody_has_heard_of_lets_nobody_in(browser: Browser) -> None:
    await refused(browser, await browser.choose(await browser.begin()), "Nothing is known of the organization org_demo")


async def test_only_tokens_for_us_of_this_attempt_and_of_one_person_are_taken(
    browser: Browser, state: StateFolder, issuer: str
) -> None:
    key, handshake = load_key(key_path(state)), Handshake("x" * 43, "/")
    access = mint_token(key, issuer, "org_demo", "admin", "ada@demo.example")

    def identity(audience: str = CLIENT_ID, email: str = "ada@demo.example", nonce: str = handshake.nonce) -> str:
        return mint_id_token(key, issuer, audience, email, "Ada", nonce)

    async def outcome(**tokens: Any) -> str:
        try:
            return (await browser.sign_in.issuer.check(handshake, tokens)).role
        except Refused as refused:
            return str(refused)

    assert await outcome(access_token=access, id_token=identity()) == "admin"
    assert "another audience" in await outcome(access_token=access, id_token=identity(audience="another-client"))
    assert "another audience" in await outcome(access_token=identity(), id_token=identity())
    assert "another audience" in await outcome(access_token=access, id_token=access)
    assert "another attempt" in await outcome(access_token=access, id_token=identity(nonce="another"))
    assert "another attempt" in await outcome(access_token=access, id_token=identity(email="eve@demo.example"))
    assert "not valid" in await outcome(access_token=access, id_token=identity()[:-4] + "AAAA")
    old = mint_token(key, issuer, "org_demo", "admin", "ada@demo.example", lifetime=timedelta(minutes=-5))
    assert "expired" in await outcome(access_token=old, id_token=identity())
    elsewhere = mint_token(key, "https://evil.example", "org_demo", "admin", "ada@demo.example")
    assert "another issuer" in await outcome(access_token=elsewhere, id_token=identity())
    for nothing in ({}, {"access_token": access}, {"access_token": 1, "id_token": 2}):
        assert "no tokens" in await outcome(**nothing)


async def test_a_tampered_cookie_is_no_session(browser: Browser, demo: int) -> None:
    await browser.enter()
    cookie = browser.client.cookies["flexcredits"]
    browser.client.cookies.clear()
    forged = ["A" * 43, cookie[:-1], cookie + "A", cookie.swapcase(), hash_id(cookie), "' OR true --", ""]
    for value in forged:
        assert await browser.status(Cookie=f"flexcredits={value}") == 401, value
    assert await browser.status(Cookie=f"__Host-flexcredits={cookie}") == 401
    assert await browser.status(Cookie=f"flexcredits={cookie}") == 200


async def test_a_change_that_another_site_asks_for_is_refused(browser: Browser, demo: int) -> None:
    await browser.enter()
    for headers in (
        {}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Origin": DASHBOARD},
        {"Sec-Fetch-Site": "same-site", "Origin": DASHBOARD}, {"Sec-Fetch-Site": "none"},
        {"Origin": f"{DASHBOARD}.evil.example"}, {"Referer": DASHBOARD},
    ):  # fmt: skip
        answer = await browser.client.post("/logout", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/cross-site"), headers
    assert await browser.status() == 200
    assert (await browser.client.post("/logout", headers={"Origin": DASHBOARD})).status_code == 204


ELSEWHERE = [
    "https://evil.example", "//evil.example", "/\\evil.example", "\\/evil.example", "/\t/evil.example", "/\n/evil.example",
    "evil.example", "javascript:alert(1)", "", " /", "/ok\r\nSet-Cookie: a=b", "/\\\\evil.example", "http:/evil.example", "/é", "/" * 2, "/" + "a" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("to", ELSEWHERE)
async def test_signing_in_never_leads_to_another_site(browser: Browser, demo: int, to: str) -> None:
    answer = await browser.client.get("/login", params={"to": to})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "to")
    # Nor through a cookie that somebody else has set.
    secret = Handshake("x" * 43, to)
    assert read_handshake(secret.to_cookie()) in (Handshake("x" * 43, "/"), None)


@given(st.text(st.sampled_from("/\\.:@?#%a\t\n é"), max_size=12))
def test_a_local_path_has_no_host(path: str) -> None:
    if is_local(path):
        # What a browser makes of it (WHATWG URL): it drops tabs and line ends, and reads a backslash as a slash.
        read = re.sub(r"[\t\n\r]", "", path).replace("\\", "/")
        assert read.startswith("/")
        assert not read.startswith("//")
        handshake = Handshake("x" * 43, path)
        assert read_handshake(handshake.to_cookie()) == handshake


def test_what_the_issuer_sees_of_a_handshake_is_always_another() -> None:
    one, other = Handshake("x" * 43, "/"), Handshake("y" * 43, "/")
    derived = [
        one.state,
        one.nonce,
        one.code_verifier,
        one.code_challenge,
        other.state,
        other.nonce,
        other.code_verifier,
    ]
    assert len({*derived, one.secret}) == 8
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", value) for value in derived)


async def test_people_who_are_refused_are_led_to_the_dashboard(
    browser: Browser, pool: Pool, issuer: str, demo: int
) -> None:
    html = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for callback in ("/login/callback?state=x&code=x", "/login/callback", "/login/callback?error=access_denied"):
        answer = await browser.client.get(callback, headers=html)
        assert (answer.status_code, answer.headers["location"]) == (302, "/?sign_in=refused")
        assert "flexcredits" not in browser.client.cookies
        assert (await browser.client.get(callback)).status_code == 403  # a program gets the problem
    async with open_browser(pool, issuer, token_url=f"http://127.0.0.1:{free_port()}/token") as away:
        answer = await away.client.get(await away.choose(await away.begin()), headers=html)
    assert (answer.status_code, answer.headers["location"]) == (302, "/?sign_in=unavailable")


async def test_settings_are_only_changed_from_the_dashboard_itself(browser: Browser, books: Books, demo: int) -> None:
    await browser.enter()
    elsewhere = [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ]
    for method, path in (
        ("PUT", "/api/v1/alerts/settings"), ("POST", "/api/v1/alerts/preview"), ("POST", "/api/v1/alerts/test-mail"),
        ("POST", "/api/v1/alerts/{id}/resend"), ("POST", "/api/v1/banner/dismiss"),
        ("POST", "/api/v1/alert-channels"), ("DELETE", "/api/v1/alert-channels/{id}"), ("POST", "/api/v1/alert-channels/{id}/test"),
    ):  # fmt: skip
        for headers in (*elsewhere, SAME_ORIGIN, {"Origin": DASHBOARD}):
            given = {"If-Match": '"0"', **headers}
            answer = await browser.client.request(
                method, path.replace("{id}", "7"), headers=given, json=BODIES.get(path)
            )
            is_ours = headers not in elsewhere
            assert answer.json()["type"] == "/problems/cross-site" if answer.status_code == 403 else is_ours, (
                path,
                headers,
            )
            assert (answer.status_code != 403) is is_ours, (path, headers)
    assert await books.count("SELECT version FROM alert_settings WHERE organization_id = $1", demo) == 1
    assert await books.count("SELECT count(*) FROM mail_requests") == 1


async def test_an_issuer_that_is_away_is_503(pool: Pool, issuer: str) -> None:
    async with open_browser(pool, issuer, token_url=f"http://127.0.0.1:{free_port()}/token") as browser:
        answer = await browser.enter()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


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
    pool: Pool, books: Books, demo: int
) -> None:
    other = await books.organization("org_other")
    values = ("org_other", "s", "", "", "admin", NOW, NOW)
    for organization, number in (("org_demo", other), ("org_demo", demo), ("", other)):
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(SQL["act_for"], organization)
            await connection.execute(SQL["present_session"], "ab" * 32)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(SQL["insert_session"], "ab" * 32, number, *values)
            await transaction.rollback()


async def test_ended_sessions_are_forgotten_by_the_next_who_signs_in(browser: Browser, books: Books, demo: int) -> None:
    await browser.enter()
    await books.execute("UPDATE sessions SET expires_at = $1", NOW - timedelta(days=1))
    browser.client.cookies.clear()
    await browser.enter()
    rows = await books.fetch("SELECT session_sha256 FROM sessions")
    assert [row[0].hex() for row in rows] == [hash_id(browser.client.cookies["flexcredits"])]


async def test_a_deployment_without_an_issuer_for_browsers_says_so(pool: Pool, issuer: str) -> None:
    verifier = Verifier(SigningKeys(fetch_from(issuer + JWKS_PATH)), issuer, AUDIENCE)
    transport = httpx.ASGITransport(Observed(build_app(Parts(pool, pool, verifier, True, TOPIC, lambda: NOW, pool))))
    async with httpx.AsyncClient(transport=transport, base_url=DASHBOARD) as client:
        for answer in (await client.get("/login"), await client.get("/login/callback"), await client.post("/logout")):
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
        assert (await client.get("/api/v1/overview", headers={"Cookie": "flexcredits=" + "A" * 43})).status_code == 401
