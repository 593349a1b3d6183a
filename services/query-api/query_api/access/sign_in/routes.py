"""GET /login, GET /login/callback, POST /logout, GET /api/v1/session: a browser's way in and out."""

import hmac
import secrets
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from query_api.access.audit import audit
from query_api.access.dependencies import Known, SignIn, audit_refusal, find_refusal, parts_of
from query_api.auth.cookies import SIGN_IN_WITHIN_S, hash_id
from query_api.auth.handshake import Handshake, is_local, read_handshake
from query_api.auth.oidc import failed
from query_api.auth.tokens import Person
from query_api.contracts.range import invalid_parameter
from query_api.db.session import read_as
from query_api.db.writes import write_as
from query_api.http.fields import Answer, Refused, TimeZone
from query_api.metrics import REFUSED

router = APIRouter()

TO = Query(description="A path of this origin, where to go afterwards.", examples=["/?view=agents"])


@router.get("/login", status_code=302, response_class=RedirectResponse)
async def begin_session(request: Request, to: Annotated[str, TO] = "/") -> Response:
    """Send the browser to the identity provider."""
    sign_in = sign_in_of(request)
    if not is_local(to):
        raise invalid_parameter("to", "must be a path of this origin, such as /")
    handshake = Handshake(secrets.token_urlsafe(32), to)
    answer = RedirectResponse(sign_in.issuer.begin(handshake), 302)
    sign_in.cookies.set(answer, sign_in.cookies.handshake, handshake.to_cookie(), SIGN_IN_WITHIN_S)
    return answer


@router.get("/login/callback", status_code=302, response_class=RedirectResponse)
async def finish_session(
    request: Request,
    state: Annotated[str, Query(description="As the identity provider was given it.")] = "",
    code: Annotated[str, Query(description="To exchange for tokens, once.")] = "",
    iss: Annotated[str | None, Query(description="The issuer (RFC 9207).")] = None,
    error: Annotated[str | None, Query(description="Why there is no code.", examples=["access_denied"])] = None,
) -> Response:
    """Where the identity provider sends the browser back to: exchange the code, begin a session, go on.

    People whose browser is refused here are led to the dashboard, which says so (`?sign_in=refused`, `unavailable` or `unknown`);
    programs get the problem.
    """
    sign_in = sign_in_of(request)
    try:
        handshake = check_answer(request, sign_in, state, error is None and code != "", iss)
        return await begin(request, sign_in, handshake, await sign_in.issuer.finish(handshake, code))
    except Refused as refused:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        REFUSED.labels(refused.problem).inc()
        return RedirectResponse(f"/?{urlencode(explain(refused))}", 302)


def explain(refused: Refused) -> dict[str, str]:
    """What the dashboard's address says of a sign-in that did not succeed."""
    if isinstance(refused, UnknownOrganization):
        return {"sign_in": "unknown", "organization": refused.organization}
    return {"sign_in": "unavailable" if refused.status == 503 else "refused"}


class UnknownOrganization(Refused):
    """The identity provider knows it, and no event has named it."""

    def __init__(self, organization: str) -> None:
        super().__init__("sign-in-failed", f"Nothing is known of the organization {organization} yet.")
        self.organization = organization


def check_answer(request: Request, sign_in: SignIn, state: str, is_let_in: bool, iss: str | None) -> Handshake:
    """The half of the handshake that this browser has kept. Raises Refused."""
    handshake = read_handshake(request.cookies.get(sign_in.cookies.handshake, ""))
    if handshake is None or not hmac.compare_digest(handshake.state.encode(), state.encode()):
        raise failed("This browser did not start this sign-in, or started another one, or too long ago.")
    if not is_let_in:
        raise failed("The identity provider denied access.")
    if iss is not None and iss != sign_in.issuer.verifier.issuer:
        raise failed("This answer is from another identity provider.")
    return handshake


async def begin(request: Request, sign_in: SignIn, handshake: Handshake, person: Person) -> Response:
    """A new session in place of the one before. Raises Refused."""
    parts, cookies = parts_of(request), sign_in.cookies
    session_id, session = cookies.begin(person, parts.now())
    async with write_as(parts.pool, person.organization) as writing:
        if writing.organization.organization_id is None:
            raise UnknownOrganization(person.organization)
        await writing.forget_expired_sessions(session.created_at)
        if before := cookies.hash_of(request):
            await writing.delete_session(before)
        await writing.insert_session(hash_id(session_id), session)
        await audit(writing, person, "session.begin", {"expires_at": session.expires_at.isoformat()})
    answer = RedirectResponse(handshake.to, 302)
    cookies.set(answer, cookies.session, session_id, cookies.lifetime.total_seconds())
    cookies.clear(answer, cookies.handshake)
    return answer


@router.post("/logout", status_code=204, response_class=Response)
async def end_session(request: Request) -> Response:
    """End the browser's session, and have it forget what it kept. Harmless without one."""
    parts, cookies = parts_of(request), sign_in_of(request).cookies
    cookies.check_origin(request)
    session_sha256 = cookies.hash_of(request)
    person = await cookies.find_person(parts.pool, session_sha256, parts.now()) if session_sha256 else None
    if person and session_sha256:
        async with write_as(parts.pool, person.organization) as writing:
            await writing.delete_session(session_sha256)
            await audit(writing, person, "session.end", {})
    answer = Response(status_code=204, headers={"Clear-Site-Data": '"cache"'})
    cookies.clear(answer, cookies.session)
    return answer


def sign_in_of(request: Request) -> SignIn:
    sign_in = parts_of(request).sign_in
    if sign_in is None:
        raise Refused("not-found", "Browser sign-in is not set up in this deployment.")
    return sign_in


class SignedIn(Answer):
    """Who asks."""

    email: str = Field(description="Empty when the identity provider did not say.")
    name: str = Field(description="Empty when the identity provider did not say.")
    organization: str
    organization_name: str | None = Field(description="null: nothing is known of the organization yet.")
    locale: str = Field(
        description="BCP 47, of the organization: how numbers and dates are written.", examples=["en-CA"]
    )
    time_zone: TimeZone
    role: str
    expires_at: datetime | None = Field(description="When the session or token ends; a session also ends by disuse.")
    by: Literal["session", "token"]
    refused: str | None = Field(description="Why this person may not see the dashboard, for people. null: they may.")


@router.get("/api/v1/session")
async def get_session(request: Request, person: Known) -> SignedIn:
    """Who is signed in, and whether they may see the dashboard."""
    parts = parts_of(request)
    async with read_as(parts.pool, person.organization, person.email) as reading:
        organization = reading.organization
    refused = find_refusal(parts, person, organization)
    if refused:
        await audit_refusal(parts, person, refused)
    return SignedIn(
        email=person.email,
        name=person.name,
        organization=person.organization,
        organization_name=organization.name,
        locale=organization.locale,
        time_zone=organization.time_zone,
        role=person.role,
        expires_at=person.expires_at,
        by="session" if person.session_sha256 else "token",
        refused=str(refused) if refused else None,
    )
