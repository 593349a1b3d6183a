"""Who may ask what: every route takes its reads from a policy, which opens them for one organization."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from runtime.postgres import Pool

from query_api.access import Person, Verifier, check_role
from query_api.store import ACQUIRE_S, Reading, read_as

LONG_READ_WAIT_S = 20.0


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


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def utc_now() -> datetime:
    return datetime.now(UTC)


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False, bearerFormat="JWT"))]


async def identify(request: Request, credentials: Credentials) -> Person:
    scheme, token = (credentials.scheme, credentials.credentials) if credentials else ("", "")
    return await parts_of(request).verifier.identify(scheme, token)


@asynccontextmanager
async def look_as(parts: Parts, pool: Pool, person: Person, wait_s: float) -> AsyncIterator[Reading]:
    """Read as a person's organization, if the person may look. Raises Refused."""
    allowed = parts.billing_moderator_enabled
    check_role(person, removed=False, deployment_allows=allowed, organization_allows=True)  # spares Postgres the others
    async with read_as(pool, person.organization, person.email, wait_s=wait_s) as reading:
        organization = reading.organization
        check_role(
            person,
            removed=organization.removed,
            deployment_allows=allowed,
            organization_allows=organization.billing_moderator_enabled,
        )
        yield reading


async def look(request: Request, person: Annotated[Person, Depends(identify)]) -> AsyncIterator[Reading]:
    """Policy: those who may look at the dashboard."""
    parts = parts_of(request)
    async with look_as(parts, parts.pool, person, ACQUIRE_S) as reading:
        yield reading


async def look_long(request: Request, person: Annotated[Person, Depends(identify)]) -> AsyncIterator[Reading]:
    """Policy: the same people, for reads of seconds, which take turns."""
    parts = parts_of(request)
    async with look_as(parts, parts.long_pool, person, LONG_READ_WAIT_S) as reading:
        yield reading


POLICIES = frozenset({look, look_long})
"""Every route has one of these, or the application does not start."""

# Scope "function": the transaction ends before the answer is sent, however slowly the client reads it.
Look = Annotated[Reading, Depends(look, scope="function")]
LookLong = Annotated[Reading, Depends(look_long, scope="function")]
