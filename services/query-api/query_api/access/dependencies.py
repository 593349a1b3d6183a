"""Policies of routes, as FastAPI dependencies. Each opens a session for one organization."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, NamedTuple

import structlog
from fastapi import Depends, Query, Request
from flexcredits_schemas.unsubscribe import InvalidToken, Unsubscription, unseal
from runtime.postgres.pool import Pool

from query_api.access.audit import audit
from query_api.access.identity import identify
from query_api.access.state import AppState, app_state
from query_api.auth.principal import (
    Principal,
    check_admin,
    check_member,
    check_role,
    check_super_admin,
)
from query_api.db.session import WAIT_S, Organization, ReadSession, Unavailable, WriteSession, read_as, write_as
from query_api.http.problems import ApiProblem, invalid_parameter

log = structlog.get_logger()

LONG_READ_WAIT_S = 20.0
EXPORT_WAIT_S = 10.0  # less than a file waits for a client that does not read

REPEATABLE = frozenset({"surface"})


async def refuse_repeated(request: Request) -> None:
    """Raises ApiProblem if a parameter of a single value is given several times: one of its values would be ignored.

    The dashboard's page has parameters of its own, which only the page reads.
    """
    if not request.url.path.startswith("/api/"):
        return
    seen = set[str]()
    for name, _ in request.query_params.multi_items():
        if name in seen and name not in REPEATABLE:
            raise invalid_parameter(name, "must not be repeated")
        seen.add(name)


LinkToken = Annotated[str, Query(description="The token that the alerter signed.")]


class Linked(NamedTuple):
    """The content of an unsubscribe link, and the transaction for the change."""

    wish: Unsubscription
    session: WriteSession


@asynccontextmanager
async def read_as_principal(
    app: AppState, pool: Pool, principal: Principal, wait_s: float
) -> AsyncIterator[ReadSession]:
    """Read rows of the principal's organization if the role allows it. Raises ApiProblem; refusals are audited."""
    async with auditing_refusals(app, principal):
        check(app, principal, None)
        async with read_as(pool, principal.organization, principal.email, wait_s=wait_s) as session:
            check(app, principal, session.organization)
            yield session


@asynccontextmanager
async def read_usage_as_principal(
    app: AppState, pool: Pool, principal: Principal, wait_s: float
) -> AsyncIterator[ReadSession]:
    """As read_as_principal, on the read replica if there is one: what was just changed may be missing."""
    async with auditing_refusals(app, principal):
        check(app, principal, None)
        async with read_usage_as(app, pool, principal.organization, principal.email, wait_s=wait_s) as session:
            check(app, principal, session.organization)
            yield session


def read_usage_as(
    app: AppState, pool: Pool, organization: str, email: str, *, wait_s: float
) -> AbstractAsyncContextManager[ReadSession]:
    read_any = app.replica.read_as if app.replica else read_as
    return read_any(pool, organization, email, wait_s=wait_s)


@asynccontextmanager
async def write_as_principal(app: AppState, principal: Principal) -> AsyncIterator[WriteSession]:
    """Change data of the principal's organization if the role may read it. Raises ApiProblem; refusals are audited."""
    async with auditing_refusals(app, principal):
        check(app, principal, None)
        async with write_as(app.pool, principal.organization, principal.email) as session:
            check(app, principal, session.organization)
            if session.organization_id is None:
                raise ApiProblem("not-found", f"Nothing is known of the organization {principal.organization} yet.")
            yield session


def check(app: AppState, principal: Principal, organization: Organization | None) -> None:
    """Raises ApiProblem unless the principal may read.

    Without an organization only the token is checked, so most refusals need no connection.
    """
    check_role(
        principal,
        removed=organization is not None and organization.removed,
        deployment_allows=app.billing_moderator_enabled,
        organization_allows=organization is None or organization.billing_moderator_enabled,
    )


def find_refusal(app: AppState, principal: Principal, organization: Organization) -> ApiProblem | None:
    """The ApiProblem that `check` would raise, or None. The dashboard requests it before anything else."""
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
    """Add an audit entry for a refusal, unless there was one recently. If that fails, the request is refused all the same."""
    if not app.refusals.is_news(principal):
        return
    try:
        async with write_as(app.pool, principal.organization) as session:
            if session.organization_id is not None:  # an unknown organization has no admins who could read it
                await audit(session, principal, "access.refused", {"why": str(refused)})
    except Unavailable as error:
        log.warning("could not audit a refusal", reason=str(error))


async def read(request: Request, principal: Annotated[Principal, Depends(identify)]) -> AsyncIterator[ReadSession]:
    """Policy: roles that may read, for what people change here: they see their own changes."""
    app = app_state(request)
    async with read_as_principal(app, app.pool, principal, WAIT_S) as session:
        yield session


async def read_usage(
    request: Request, principal: Annotated[Principal, Depends(identify)]
) -> AsyncIterator[ReadSession]:
    """Policy: roles that may read, for usage and what is computed from it."""
    app = app_state(request)
    async with read_usage_as_principal(app, app.pool, principal, WAIT_S) as session:
        yield session


async def read_own(request: Request, principal: Annotated[Principal, Depends(identify)]) -> AsyncIterator[ReadSession]:
    """Policy: everyone who is signed in and a member, for what is their own, if the organization allows it."""
    app = app_state(request)
    async with (
        auditing_refusals(app, principal),
        read_usage_as(app, app.pool, principal.organization, principal.email, wait_s=WAIT_S) as session,
    ):
        check_member(principal, removed=session.organization.removed, my_usage=session.organization.my_usage)
        yield session


async def read_slowly(
    request: Request, principal: Annotated[Principal, Depends(identify)]
) -> AsyncIterator[ReadSession]:
    """Policy: roles that may read, for reads that take seconds. Their pool is separate."""
    app = app_state(request)
    async with read_usage_as_principal(app, app.long_pool, principal, LONG_READ_WAIT_S) as session:
        yield session


async def read_as_admin(
    request: Request, principal: Annotated[Principal, Depends(identify)]
) -> AsyncIterator[ReadSession]:
    """Policy: Super Admins and Admins."""
    app = app_state(request)
    async with read_as_principal(app, app.pool, principal, WAIT_S) as session:
        check_admin(principal)
        yield session


async def read_as_super_admin(
    request: Request, principal: Annotated[Principal, Depends(identify)]
) -> AsyncIterator[ReadSession]:
    """Policy: Super Admins."""
    app = app_state(request)
    async with read_as_principal(app, app.pool, principal, WAIT_S) as session:
        check_super_admin(principal)
        yield session


async def read_to_export(
    request: Request, principal: Annotated[Principal, Depends(identify)]
) -> AsyncIterator[ReadSession]:
    """Policy: roles that may read, for files that are read while they are sent. Number and duration are limited."""
    app = app_state(request)
    async with read_usage_as_principal(app, app.export_pool, principal, EXPORT_WAIT_S) as session:
        yield session


async def read_past_exports(
    request: Request, principal: Annotated[Principal, Depends(identify)]
) -> AsyncIterator[ReadSession]:
    """Policy: roles that may read, for files of the past. Never on a replica, which may lack what is in such a file."""
    app = app_state(request)
    async with read_as_principal(app, app.export_pool, principal, EXPORT_WAIT_S) as session:
        yield session


async def write(request: Request, principal: Annotated[Principal, Depends(identify)]) -> AsyncIterator[WriteSession]:
    """Policy: roles that may read may change alerts. The transaction ends before the response is sent."""
    async with write_as_principal(app_state(request), principal) as session:
        yield session


async def write_as_super_admin(
    request: Request, principal: Annotated[Principal, Depends(identify)]
) -> AsyncIterator[WriteSession]:
    """Policy: Super Admins may change settings."""
    async with write_as_principal(app_state(request), principal) as session:
        check_super_admin(principal)
        yield session


async def hold_link(request: Request, token: LinkToken = "") -> AsyncIterator[Linked]:
    """Policy: the unsubscribe link of a mail may remove its own address only. Raises InvalidToken."""
    app = app_state(request)
    if app.unsubscribe_secret is None:
        raise InvalidToken("unsubscribe links are not configured in this deployment")
    wish = unseal(token, app.unsubscribe_secret)
    async with write_as(app.pool, wish.organization) as session:
        yield Linked(wish, session)


POLICIES = frozenset({
    identify, read, read_usage, read_own, read_slowly, read_as_admin, read_as_super_admin, read_to_export, read_past_exports,
    write, write_as_super_admin, hold_link,
})  # fmt: skip
"""Every route except public ones needs one of these; else the application does not start."""

# Scope "function": the transaction ends before the response is sent, so a slow client does not keep it open.
ReadAccess = Annotated[ReadSession, Depends(read, scope="function")]
UsageAccess = Annotated[ReadSession, Depends(read_usage, scope="function")]
OwnAccess = Annotated[ReadSession, Depends(read_own, scope="function")]
SlowReadAccess = Annotated[ReadSession, Depends(read_slowly, scope="function")]
AdminAccess = Annotated[ReadSession, Depends(read_as_admin, scope="function")]
LinkAccess = Annotated[Linked, Depends(hold_link, scope="function")]
WriteAccess = Annotated[WriteSession, Depends(write, scope="function")]
SuperAdminReadAccess = Annotated[ReadSession, Depends(read_as_super_admin, scope="function")]
SuperAdminAccess = Annotated[WriteSession, Depends(write_as_super_admin, scope="function")]
CurrentUser = Annotated[Principal, Depends(identify)]
# Scope "request": the transaction stays open until the file is sent or aborted; exports/downloads.py limits the time.
ExportAccess = Annotated[ReadSession, Depends(read_to_export, scope="request")]
PastFileAccess = Annotated[ReadSession, Depends(read_past_exports, scope="request")]
PastExportAccess = Annotated[ReadSession, Depends(read_past_exports, scope="function")]
