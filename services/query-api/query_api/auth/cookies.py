"""Session cookies of browsers: names, lifetime, and the principal of a session."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from fastapi import Request, Response
from runtime.postgres.pool import Pool

from query_api.auth.principal import Principal
from query_api.auth.queries import (
    BrowserSession,
    delete_session,
    present,
    select_role_since,
    select_session,
    touch_session,
)
from query_api.http.problems import ApiProblem

TOUCH_EVERY = timedelta(minutes=1)  # limits writes: not every read updates the session
SIGN_IN_WITHIN_S = 600

_ID = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Cookies:
    """Names and attributes of our cookies, and the lifetime of sessions.

    The prefix __Host- makes browsers reject a cookie of that name from another host or without TLS. In development, on
    loopback without TLS, it is left out.
    """

    origin: str
    """Scheme and host of the dashboard. All requests with a cookie must come from it."""
    idle: timedelta
    lifetime: timedelta

    @property
    def is_secure(self) -> bool:
        return self.origin.startswith("https:")

    @property
    def session(self) -> str:
        return "__Host-flexcredits" if self.is_secure else "flexcredits"

    @property
    def handshake(self) -> str:
        return f"{self.session}-sign-in"

    def set(self, answer: Response, name: str, value: str, max_age_s: float) -> None:
        # Lax, not Strict: links in mails must open signed in, and the issuer's redirect must send the handshake cookie.
        answer.set_cookie(
            name, value, max_age=int(max_age_s), path="/", secure=self.is_secure, httponly=True, samesite="lax"
        )

    def clear(self, answer: Response, name: str) -> None:
        answer.delete_cookie(name, path="/", secure=self.is_secure, httponly=True, samesite="lax")

    def hash_of(self, request: Request) -> str | None:
        """SHA-256 of the request's session id; None without a well-formed one."""
        session_id = request.cookies.get(self.session, "")
        return hash_id(session_id) if _ID.fullmatch(session_id) else None

    def check_origin(self, request: Request) -> None:
        """Refuse changes that another site makes the browser send with our cookie (CSRF). Raises ApiProblem.

        Browsers name the source in Sec-Fetch-Site; browsers before 2023 send Origin with every POST instead. SameSite=Lax
        alone would accept requests of other sites of the same registrable domain.
        """
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if site != "same-origin" if site is not None else origin != self.origin:
            raise ApiProblem("cross-site", "Changes with a session cookie must come from the dashboard itself.")

    async def find_principal(
        self, pool: Pool, session_sha256: str, now: datetime, *, in_use: bool = True
    ) -> Principal | None:
        """The session's principal; None if it has expired or the member's role has changed since. Raises Unavailable."""
        async with present(pool, session_sha256) as connection:
            found = await select_session(connection, session_sha256)
            if found is None:
                return None
            ended = now >= min(found.expires_at, found.last_seen_at + self.idle)
            role = None if ended else await select_role_since(connection, found)
            if ended or role not in (None, found.principal.role):
                await delete_session(connection, session_sha256)
                return None
            if in_use and now - found.last_seen_at >= TOUCH_EVERY:
                await touch_session(connection, session_sha256, now)
        return found.principal

    def begin(self, principal: Principal, now: datetime) -> tuple[str, BrowserSession]:
        """A new session and its id. Only the cookie holds the id; the database holds its hash."""
        return secrets.token_urlsafe(32), BrowserSession(principal, now, now, now + self.lifetime)


def hash_id(session_id: str) -> str:
    return sha256(session_id.encode()).hexdigest()
