"""The policies: every route takes its session from one of them, which opens it for one organization."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, NamedTuple

import structlog
from fastapi import Depends, Query, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from flexcredits_schemas.unsubscribe import InvalidToken, Unsubscription, unseal
from runtime.postgres.pool import Pool

from query_api.access.audit import audit
from query_api.access.state import AppState, app_state
from query_api.auth.principal import Principal, check_admin, check_role, unauthorized
from query_api.db.session import WAIT_S, Organization, ReadSession, Unavailable, WriteSession, read_as, write_as
from query_api.http.problems import ApiProblem

log = structlog.get_logger()

LONG_READ_WAIT_S = 20.0
EXPORT_WAIT_S = 15.0

Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False, bearerFormat="JWT"))]


LinkToken = Annotated[str, Query(description="As the alerter sealed it.")]


class Linked(NamedTuple):
    """What a link asks for, and the transaction in which it may be done."""

    wish: Unsubscription
    session: WriteSession


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


async def identify(request: Request, credentials: Credentials, _described: SessionCookie) -> Principal:
    """Policy: anyone with a valid token, or else with the cookie of a session. Raises ApiProblem."""
    app = app_state(request)
    if "authorization" in request.headers or app.sign_in is None:
        scheme, token = (credentials.scheme, credentials.credentials) if credentials else ("", "")
        return await app.verifier.identify(scheme, token)
    cookies = app.sign_in.cookies
    session_sha256 = cookies.hash_of(request)
    if session_sha256 is None:
        return await app.verifier.identify("", "")
    cookies.check_origin(request)
    principal = await cookies.find_principal(app.pool, session_sha256, app.now())
    if principal is None:
        raise unauthorized("the session has ended: sign in again", error=False)
    return principal


@asynccontextmanager
async def read_as_principal(
    app: AppState, pool: Pool, principal: Principal, wait_s: float
) -> AsyncIterator[ReadSession]:
    """Read as a person's organization, if the person may. Raises ApiProblem, which is audited."""
    async with auditing_refusals(app, principal):
        check(app, principal, None)
        async with read_as(pool, principal.organization, principal.email, wait_s=wait_s) as session:
            check(app, principal, session.organization)
            yield session


@asynccontextmanager
async def write_as_principal(app: AppState, principal: Principal) -> AsyncIterator[WriteSession]:
    """Change what is the organization's, if the person may read it. Raises ApiProblem, which is audited."""
    async with auditing_refusals(app, principal):
        check(app, principal, None)
        async with write_as(app.pool, principal.organization, principal.email) as session:
            check(app, principal, session.organization)
            if session.organization_id is None:
                raise ApiProblem("not-found", f"Nothing is known of the organization {principal.organization} yet.")
            yield session


def check(app: AppState, principal: Principal, organization: Organization | None) -> None:
    """Raises ApiProblem unless the person may read.

    Without an organization, the token alone decides: most refusals then need no connection.
    """
    check_role(
        principal,
        removed=organization is not None and organization.removed,
        deployment_allows=app.billing_moderator_enabled,
        organization_allows=organization is None or organization.billing_moderator_enabled,
    )


def find_refusal(app: AppState, principal: Principal, organization: Organization) -> ApiProblem | None:
    """What `check` raises, for a page that asks before it loads anything."""
    try:
        check(app, principal, organization)
    except ApiProblem as refused:
        return refused
    return None


@asynccontextmanager
async def auditing_refusals(app: AppState, principal: Principal) -> AsyncIterator[None]:
    try:
        yield
    except ApiProblem as refused:
        if refused.problem == "forbidden":
            await audit_refusal(app, principal, refused)
        raise


async def audit_refusal(app: AppState, principal: Principal, refused: ApiProblem) -> None:
    """Write down, once in a while, who was refused. Nobody is let in because it could not be written."""
    if not app.refusals.is_news(principal):
        return
    try:
        async with write_as(app.pool, principal.organization) as session:
            if session.organization_id is not None:  # else nobody would be there to read it
                await audit(session, principal, "access.refused", {"why": str(refused)})
    except Unavailable as error:
        log.warning("a refusal was not audited", reason=str(error))


async def read(request: Request, principal: Annotated[Principal, Depends(identify)]) -> AsyncIterator[ReadSession]:
    """Policy: those who may read."""
    app = app_state(request)
    async with read_as_principal(app, app.pool, principal, WAIT_S) as session:
        yield session


async def read_slowly(
    request: Request, principal: Annotated[Principal, Depends(identify)]
) -> AsyncIterator[ReadSession]:
    """Policy: the same people, for reads of seconds, which take turns."""
    app = app_state(request)
    async with read_as_principal(app, app.long_pool, principal, LONG_READ_WAIT_S) as session:
        yield session


async def read_as_admin(
    request: Request, principal: Annotated[Principal, Depends(identify)]
) -> AsyncIterator[ReadSession]:
    """Policy: Super Admins and Admins."""
    app = app_state(request)
    async with read_as_principal(app, app.pool, principal, WAIT_S) as session:
        check_admin(principal)
        yield session


async def read_to_export(
    request: Request, principal: Annotated[Principal, Depends(identify)]
) -> AsyncIterator[ReadSession]:
    """Policy: the same people, for files that are read while they are sent. Their number is small and their time bounded."""
    app = app_state(request)
    async with read_as_principal(app, app.export_pool, principal, EXPORT_WAIT_S) as session:
        yield session


async def write(request: Request, principal: Annotated[Principal, Depends(identify)]) -> AsyncIterator[WriteSession]:
    """Policy: those who may read may change alerts, in one transaction that ends before the answer."""
    async with write_as_principal(app_state(request), principal) as session:
        yield session


async def hold_link(request: Request, token: LinkToken = "") -> AsyncIterator[Linked]:
    """Policy: the holder of a mail's link may unsubscribe its address, and nothing else. Raises InvalidToken."""
    app = app_state(request)
    if app.unsubscribe_secret is None:
        raise InvalidToken("links are not set up in this deployment")
    wish = unseal(token, app.unsubscribe_secret)
    async with write_as(app.pool, wish.organization) as session:
        yield Linked(wish, session)


POLICIES = frozenset({identify, read, read_slowly, read_as_admin, read_to_export, write, hold_link})
"""Every route has one of these, or the application does not start."""

# Scope "function": the transaction ends before the answer is sent, however slowly the client reads it.
ReadAccess = Annotated[ReadSession, Depends(read, scope="function")]
SlowReadAccess = Annotated[ReadSession, Depends(read_slowly, scope="function")]
AdminAccess = Annotated[ReadSession, Depends(read_as_admin, scope="function")]
LinkAccess = Annotated[Linked, Depends(hold_link, scope="function")]
WriteAccess = Annotated[WriteSession, Depends(write, scope="function")]
CurrentUser = Annotated[Principal, Depends(identify)]
# Scope "request": the transaction lasts until the file is sent or given up; exports/downloads.py bounds that time.
ExportAccess = Annotated[ReadSession, Depends(read_to_export, scope="request")]
