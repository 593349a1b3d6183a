"""Attacks on sign-in: forged, stolen and repeated answers of the issuer, and other sites. Also an unavailable
issuer."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flexcredits_cli.dev_idp.authorization import CLIENT_ID
from flexcredits_cli.dev_idp.issuer import JWKS_PATH
from flexcredits_cli.dev_idp.tokens import AUDIENCE, key_path, load_key, mint_id_token, mint_token
from flexcredits_cli.machine.state_folder import StateFolder
from hypothesis import given
from hypothesis import strategies as st
from query_api.access.state import AppState
from query_api.app import build_app
from query_api.auth.cookies import hash_id
from query_api.auth.handshake import Handshake, is_local, read_handshake
from query_api.auth.signing_keys import SigningKeys, fetch_from
from query_api.auth.tokens import Verifier
from query_api.description.examples import BODIES
from query_api.http.middleware import RequestObserver
from query_api.http.problems import ApiProblem
from runtime.postgres.pool import Pool
from support.clients.sign_in import DASHBOARD, SAME_ORIGIN, Browser, open_browser
from support.data.table_rows import NOW, TOPIC, TableRows
from support.infra.service_process import free_port


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
        await refused(browser, callback.replace(state, wrong), "did not start")


async def test_a_stolen_callback_is_worth_nothing_in_another_browser(
    browser: Browser, pool: Pool, issuer: str, demo: int
) -> None:
    callback = await browser.choose(await browser.begin())
    async with open_browser(pool, issuer) as thief:
        await refused(thief, callback, "did not start")
        await thief.begin()
        await refused(thief, callback, "did not start")
        # Even with the thief's own state, the code is bound to the verifier that only the first browser has.
        state = parse_qs(urlsplit(callback).query)["state"][0]
        own = parse_qs(urlsplit(await thief.begin()).query)["state"][0]
        await refused(thief, callback.replace(state, own), "rejected this code")


async def test_a_code_is_good_once(browser: Browser, demo: int) -> None:
    address = await browser.begin()
    handshake = browser.client.cookies["flexcredits-sign-in"]
    callback = await browser.choose(address)
    assert (await browser.client.get(callback)).status_code == 302
    browser.client.cookies.clear()
    await refused(browser, callback, "did not start")  # the browser has no handshake cookie any more
    browser.client.cookies.set("flexcredits-sign-in", handshake)
    await refused(browser, callback, "rejected this code")


async def test_a_refusal_or_another_issuers_answer_starts_no_session(browser: Browser, demo: int) -> None:
    state = parse_qs(urlsplit(await browser.begin()).query)["state"][0]
    await refused(browser, f"/login/callback?state={state}&error=access_denied", "denied access")
    await refused(browser, f"/login/callback?state={state}", "denied access")
    await refused(
        browser, f"/login/callback?state={state}&code=x&iss=https://evil.example", "another identity provider"
    )
    await refused(browser, f"/login/callback?state={state}&code=x", "rejected this code")


async def test_an_unknown_organization_starts_no_session(browser: Browser) -> None:
    await refused(browser, await browser.choose(await browser.begin()), "Nothing is known of the organization org_demo")


async def test_only_tokens_for_us_of_this_attempt_and_of_one_person_are_taken(
    browser: Browser, issuer_state: StateFolder, issuer: str
) -> None:
    key, handshake = load_key(key_path(issuer_state)), Handshake("x" * 43, "/")
    access = mint_token(key, issuer, "org_demo", "admin", "ada@demo.example")

    def identity(audience: str = CLIENT_ID, email: str = "ada@demo.example", nonce: str = handshake.nonce) -> str:
        return mint_id_token(key, issuer, audience, email, "Ada", nonce)

    async def outcome(**tokens: Any) -> str:
        try:
            return (await browser.sign_in.issuer.check(handshake, tokens)).role
        except ApiProblem as refused:
            return str(refused)

    assert await outcome(access_token=access, id_token=identity()) == "admin"
    assert "another audience" in await outcome(access_token=access, id_token=identity(audience="another-client"))
    assert "another audience" in await outcome(access_token=identity(), id_token=identity())
    assert "another audience" in await outcome(access_token=access, id_token=access)
    assert "another sign-in" in await outcome(access_token=access, id_token=identity(nonce="another"))
    assert "another sign-in" in await outcome(access_token=access, id_token=identity(email="eve@demo.example"))
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
    # A forged cookie has no such effect either.
    secret = Handshake("x" * 43, to)
    assert read_handshake(secret.to_cookie()) in (Handshake("x" * 43, "/"), None)


@given(st.text(st.sampled_from("/\\.:@?#%a\t\n é"), max_size=12))
def test_a_local_path_has_no_host(path: str) -> None:
    if is_local(path):
        # A browser's parser (WHATWG URL) drops tabs and line ends, and reads a backslash as a slash.
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
        assert (await browser.client.get(callback)).status_code == 403  # other clients get a problem
    async with open_browser(pool, issuer, token_url=f"http://127.0.0.1:{free_port()}/token") as away:
        answer = await away.client.get(await away.choose(await away.begin()), headers=html)
    assert (answer.status_code, answer.headers["location"]) == (302, "/?sign_in=unavailable")


async def test_settings_are_only_changed_from_the_dashboard_itself(browser: Browser, db: TableRows, demo: int) -> None:
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
        ("PUT", "/api/v1/api-keys/{key_id}/mapping"), ("DELETE", "/api/v1/api-keys/{key_id}/mapping"), ("POST", "/api/v1/mappings/try"),
    ):  # fmt: skip
        for headers in (*elsewhere, SAME_ORIGIN, {"Origin": DASHBOARD}):
            given = {"If-Match": '"0"', **headers}
            answer = await browser.client.request(
                method, path.replace("{id}", "7").replace("{key_id}", "7"), headers=given, json=BODIES.get(path)
            )
            is_ours = headers not in elsewhere
            assert answer.json()["type"] == "/problems/cross-site" if answer.status_code == 403 else is_ours, (
                path,
                headers,
            )
            assert (answer.status_code != 403) is is_ours, (path, headers)
    assert await db.count("SELECT version FROM alert_settings WHERE organization_id = $1", demo) == 1
    assert await db.count("SELECT count(*) FROM mail_requests") == 1


async def test_an_issuer_that_is_away_is_503(pool: Pool, issuer: str) -> None:
    async with open_browser(pool, issuer, token_url=f"http://127.0.0.1:{free_port()}/token") as browser:
        answer = await browser.enter()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_a_deployment_without_an_issuer_for_browsers_says_so(pool: Pool, issuer: str) -> None:
    verifier = Verifier(SigningKeys(fetch_from(issuer + JWKS_PATH)), issuer, AUDIENCE)
    transport = httpx.ASGITransport(
        RequestObserver(build_app(AppState(pool, pool, verifier, True, TOPIC, lambda: NOW, pool)))
    )
    async with httpx.AsyncClient(transport=transport, base_url=DASHBOARD) as client:
        for answer in (await client.get("/login"), await client.get("/login/callback"), await client.post("/logout")):
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
        assert (await client.get("/api/v1/overview", headers={"Cookie": "flexcredits=" + "A" * 43})).status_code == 401
