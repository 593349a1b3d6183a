"""Who may ask what: every route takes its reads from a policy, which opens them for one organization."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import structlog
from fastapi import Depends, Query, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from flexcredits_schemas.unsubscribe import InvalidToken, Unsubscription, unseal
from flexcredits_schemas.zones import ACCEPTED_ZONES, TZ_VERSION, offset_at
from runtime.postgres import Pool
from runtime.time_zones import ZoneRules

from query_api.access.audit import audit
from query_api.auth.cookies import Cookies
from query_api.auth.oidc import Issuer
from query_api.auth.tokens import Person, Verifier, check_admin, check_role, unauthorized
from query_api.db.session import WAIT_S, Organization, Reading, Unavailable, read_as
from query_api.db.writes import Writing, write_as
from query_api.http.etags import answer_if_new
from query_api.http.fields import Refused
from query_api.live.hub import Live
from query_api.web.files import BuiltFile

log = structlog.get_logger()

LONG_READ_WAIT_S = 20.0
EXPORT_WAIT_S = 15.0
REFUSAL_AUDITED_EVERY_S = 60.0
REFUSALS_REMEMBERED_MAX = 10_000


class Refusals:
    """Who was refused a moment ago: a page that asks again and again must not fill the audit log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._audited_at: dict[Person, float] = {}

    def is_news(self, person: Person) -> bool:
        who, now = person._replace(expires_at=None, session_sha256=""), self._clock()
        if now - self._audited_at.get(who, float("-inf")) < REFUSAL_AUDITED_EVERY_S:
            return False
        if len(self._audited_at) >= REFUSALS_REMEMBERED_MAX:
            self._audited_at.clear()
        self._audited_at[who] = now
        return True


@dataclass(frozen=True)
class SignIn:
    """How browsers sign in."""

    issuer: Issuer
    cookies: Cookies


def zone_rules() -> ZoneRules:
    """Those of this process, not compared with Postgres yet."""
    return ZoneRules(TZ_VERSION, sorted(ACCEPTED_ZONES), offset_at)


@dataclass(frozen=True)
class Parts:
    """What the endpoints work with."""

    pool: Pool
    long_pool: Pool
    """For reads of seconds, so that they never keep the others waiting."""
    verifier: Verifier
    billing_moderator_enabled: bool
    topic: str
    now: Callable[[], datetime]
    export_pool: Pool
    """For files, whose reads last for as long as the client takes to receive them."""
    provider_name: str = "FlexCredits"
    """Whose invoice it is, in files for finance."""
    sign_in: SignIn | None = None
    """None: there are only bearer tokens."""
    dashboard: Mapping[str, BuiltFile] | None = None
    """None: it was not built, or is served by somebody else."""
    unsubscribe_secret: str | None = None
    """None: no link is valid."""
    zones: ZoneRules = field(default_factory=zone_rules)
    live: Live = field(default_factory=Live)
    refusals: Refusals = field(default_factory=Refusals)


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def utc_now() -> datetime:
    return datetime.now(UTC)


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False, bearerFormat="JWT"))]


LinkToken = Annotated[str, Query(description="As the alerter sealed it.")]


class Linked(NamedTuple):
    """A link's wish, and the transaction in which it may be fulfilled."""

    wish: Unsubscription
    writing: Writing


SessionCookie = Annotated[
    str | None,
    Depends(
        APIKeyCookie(
            name="__Host-flexcredits",
            scheme_name="Session",
            description="Set by /login. Without TLS, in development, its name is `flexcredits`.",
            auto_error=False,
        )
    ),
]


async def identify(request: Request, credentials: Credentials, _described: SessionCookie) -> Person:
    """Policy: whoever has a valid token, or else the cookie of a session. Raises Refused."""
    parts = parts_of(request)
    if "authorization" in request.headers or parts.sign_in is None:
        scheme, token = (credentials.scheme, credentials.credentials) if credentials else ("", "")
        return await parts.verifier.identify(scheme, token)
    cookies = parts.sign_in.cookies
    session_sha256 = cookies.hash_of(request)
    if session_sha256 is None:
        return await parts.verifier.identify("", "")
    cookies.check_origin(request)
    person = await cookies.find_person(parts.pool, session_sha256, parts.now())
    if person is None:
        raise unauthorized("the session has ended: sign in again", error=False)
    return person


@asynccontextmanager
async def look_as(parts: Parts, pool: Pool, person: Person, wait_s: float) -> AsyncIterator[Reading]:
    """Read as a person's organization, if the person may look. Raises Refused, which is audited."""
    async with auditing_refusals(parts, person):
        check(parts, person, None)
        async with read_as(pool, person.organization, person.email, wait_s=wait_s) as reading:
            check(parts, person, reading.organization)
            yield reading


@asynccontextmanager
async def change_as(parts: Parts, person: Person) -> AsyncIterator[Writing]:
    """Change what is the organization's, if the person may look. Raises Refused, which is audited."""
    async with auditing_refusals(parts, person):
        check(parts, person, None)
        async with write_as(parts.pool, person.organization, person.email) as writing:
            check(parts, person, writing.organization)
            if writing.organization.organization_id is None:
                raise Refused("not-found", f"Nothing is known of the organization {person.organization} yet.")
            yield writing


def check(parts: Parts, person: Person, organization: Organization | None) -> None:
    """Whether a person may look; with None by what the token says, which spares Postgres all others. Raises Refused."""
    check_role(
        person,
        removed=organization is not None and organization.removed,
        deployment_allows=parts.billing_moderator_enabled,
        organization_allows=organization is None or organization.billing_moderator_enabled,
    )


def find_refusal(parts: Parts, person: Person, organization: Organization) -> Refused | None:
    """What `check` raises, for a page that asks before it loads anything."""
    try:
        check(parts, person, organization)
    except Refused as refused:
        return refused
    return None


@asynccontextmanager
async def auditing_refusals(parts: Parts, person: Person) -> AsyncIterator[None]:
    try:
        yield
    except Refused as refused:
        if refused.problem == "forbidden":
            await audit_refusal(parts, person, refused)
        raise


async def audit_refusal(parts: Parts, person: Person, refused: Refused) -> None:
    """Write down, once in a while, who was refused. Nobody is let in because it could not be written."""
    if not parts.refusals.is_news(person):
        return
    try:
        async with write_as(parts.pool, person.organization) as writing:
            if writing.organization.organization_id is not None:  # else nobody would be there to read it
                await audit(writing, person, "access.refused", {"why": str(refused)})
    except Unavailable as error:
        log.warning("a refusal was not audited", reason=str(error))


async def look(request: Request, person: Annotated[Person, Depends(identify)]) -> AsyncIterator[Reading]:
    """Policy: those who may look at the dashboard."""
    parts = parts_of(request)
    async with look_as(parts, parts.pool, person, WAIT_S) as reading:
        await answer_if_new(request, person, reading, parts.topic, parts.now())
        yield reading


async def look_long(request: Request, person: Annotated[Person, Depends(identify)]) -> AsyncIterator[Reading]:
    """Policy: the same people, for reads of seconds, which take turns."""
    parts = parts_of(request)
    async with look_as(parts, parts.long_pool, person, LONG_READ_WAIT_S) as reading:
        await answer_if_new(request, person, reading, parts.topic, parts.now())
        yield reading


async def look_admin(request: Request, person: Annotated[Person, Depends(identify)]) -> AsyncIterator[Reading]:
    """Policy: Super Admins and Admins."""
    parts = parts_of(request)
    async with look_as(parts, parts.pool, person, WAIT_S) as reading:
        check_admin(person)
        yield reading


async def look_to_export(request: Request, person: Annotated[Person, Depends(identify)]) -> AsyncIterator[Reading]:
    """Policy: the same people, for files that are read while they are sent. Their number is small and their time bounded."""
    parts = parts_of(request)
    async with look_as(parts, parts.export_pool, person, EXPORT_WAIT_S) as reading:
        yield reading


async def change(request: Request, person: Annotated[Person, Depends(identify)]) -> AsyncIterator[Writing]:
    """Policy: those who may look at the dashboard may change alerts, in one transaction that ends before the answer."""
    async with change_as(parts_of(request), person) as writing:
        yield writing


async def hold_link(request: Request, token: LinkToken = "") -> AsyncIterator[Linked]:
    """Policy: whoever has the link of a mail may have its address told no more, and nothing else. Raises InvalidToken."""
    parts = parts_of(request)
    if parts.unsubscribe_secret is None:
        raise InvalidToken("links are not set up in this deployment")
    wish = unseal(token, parts.unsubscribe_secret)
    async with write_as(parts.pool, wish.organization) as writing:
        yield Linked(wish, writing)


POLICIES = frozenset({identify, look, look_long, look_admin, look_to_export, change, hold_link})
"""Every route has one of these, or the application does not start."""

# Scope "function": the transaction ends before the answer is sent, however slowly the client reads it.
Look = Annotated[Reading, Depends(look, scope="function")]
LookLong = Annotated[Reading, Depends(look_long, scope="function")]
LookAdmin = Annotated[Reading, Depends(look_admin, scope="function")]
HoldLink = Annotated[Linked, Depends(hold_link, scope="function")]
Change = Annotated[Writing, Depends(change, scope="function")]
Known = Annotated[Person, Depends(identify)]
# Scope "request": the transaction lasts until the file is sent, or given up; stream.py sees to it that one of them happens.
LookToExport = Annotated[Reading, Depends(look_to_export, scope="request")]
