"""A browser that signs in at the real development issuer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
from flexcredits_cli.dev_idp.authorization import CLIENT_ID
from flexcredits_cli.dev_idp.issuer import AUTHORIZATION_PATH, JWKS_PATH, TOKEN_PATH
from flexcredits_cli.dev_idp.tokens import AUDIENCE
from query_api.access.state import AppState, SignIn
from query_api.app import build_app
from query_api.auth.cookies import Cookies
from query_api.auth.oidc import Issuer
from query_api.auth.signing_keys import SigningKeys, fetch_from
from query_api.auth.tokens import Verifier
from query_api.http.middleware import RequestObserver
from runtime.postgres.pool import Pool
from support.data.table_rows import NOW, TOPIC

DASHBOARD = "http://127.0.0.1:8081"
IDLE, LIFETIME = timedelta(hours=1), timedelta(hours=12)
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Browser:
    """A client that keeps cookies and follows no redirects by itself; `now` is the API's clock."""

    client: httpx.AsyncClient
    sign_in: SignIn
    now: datetime = NOW

    async def begin(self, to: str = "/usage?view=agents") -> str:
        """The address at the issuer."""
        answer = await self.client.get("/login", params={"to": to})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def choose(self, address: str, role: str = "super_admin", organization: str = "org_demo", email: str = "ada@demo.example") -> str:  # fmt: skip
        """Choose a person as the issuer's page does; returns the callback's address."""
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

    async def enter(self, **person: str) -> httpx.Response:
        callback = await self.choose(await self.begin(), **person)
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
    parts = AppState(pool, pool, verifier, True, TOPIC, lambda: browser.now, pool, sign_in=sign_in)
    transport = httpx.ASGITransport(RequestObserver(build_app(parts)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=dashboard) as client:
        browser = Browser(client, sign_in)
        yield browser
