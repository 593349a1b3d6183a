"""GET /login, GET /login/callback, POST /logout, GET /api/v1/session: browser sign-in and sign-out."""

import hmac
import secrets
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from query_api.access.audit import audit
from query_api.access.dependencies import CurrentUser, audit_refusal, find_refusal
from query_api.access.sign_in.schemas import SessionResponse
from query_api.access.state import SignIn, app_state
from query_api.auth.cookies import SIGN_IN_WITHIN_S, hash_id
from query_api.auth.handshake import Handshake, is_local, read_handshake
from query_api.auth.oidc import sign_in_failed
from query_api.auth.principal import Principal
from query_api.auth.queries import delete_expired_sessions, delete_session, insert_session
from query_api.db.session import read_as, write_as
from query_api.http.problems import ApiProblem, invalid_parameter
from query_api.metrics import REFUSED

router = APIRouter()

TO = Query(description="Where to go after sign-in: a path of this origin.", examples=["/?view=agents"])


@router.get("/login", status_code=302, response_class=RedirectResponse)
async def begin_session(request: Request, to: Annotated[str, TO] = "/") -> Response:
    """Redirect the browser to the identity provider."""
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
    state: Annotated[str, Query(description="As sent to the identity provider.")] = "",
    code: Annotated[str, Query(description="Authorization code, valid once.")] = "",
    iss: Annotated[str | None, Query(description="The issuer (RFC 9207).")] = None,
    error: Annotated[
        str | None, Query(description="Error code of the identity provider.", examples=["access_denied"])
    ] = None,
) -> Response:
    """Redirect URL for the identity provider: exchange the code, begin a session, redirect to the page.

    On failure, browsers are redirected to the dashboard with `?sign_in=refused`, `unavailable` or `unknown`; programs get the
    problem.
    """
    sign_in = sign_in_of(request)
    try:
        handshake = check_answer(request, sign_in, state, error is None and code != "", iss)
        return await begin(request, sign_in, handshake, await sign_in.issuer.finish(handshake, code))
    except ApiProblem as refused:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        REFUSED.labels(refused.problem).inc()
        return RedirectResponse(f"/?{urlencode(explain(refused))}", 302)


def explain(refused: ApiProblem) -> dict[str, str]:
    """Value of `sign_in` in the dashboard's address after a failed sign-in."""
    if isinstance(refused, UnknownOrganization):
        return {"sign_in": "unknown", "organization": refused.organization}
    return {"sign_in": "unavailable" if refused.status == 503 else "refused"}


class UnknownOrganization(ApiProblem):
    """The identity provider knows the organization, but no event of it has arrived."""

    def __init__(self, organization: str) -> None:
        super().__init__("sign-in-failed", f"Nothing is known of the organization {organization} yet.")
        self.organization = organization


def check_answer(request: Request, sign_in: SignIn, state: str, is_let_in: bool, iss: str | None) -> Handshake:
    """Check the identity provider's response against this browser's handshake cookie. Raises ApiProblem."""
    handshake = read_handshake(request.cookies.get(sign_in.cookies.handshake, ""))
    if handshake is None or not hmac.compare_digest(handshake.state.encode(), state.encode()):
        raise sign_in_failed("This browser did not start this sign-in, or it expired.")
    if not is_let_in:
        raise sign_in_failed("The identity provider denied access.")
    if iss is not None and iss != sign_in.issuer.verifier.issuer:
        raise sign_in_failed("This response is from another identity provider.")
    return handshake


async def begin(request: Request, sign_in: SignIn, handshake: Handshake, principal: Principal) -> Response:
    """Create a session, replacing the previous one. Raises ApiProblem."""
    app, cookies = app_state(request), sign_in.cookies
    session_id, signed_in = cookies.begin(principal, app.now())
    async with write_as(app.pool, principal.organization) as session:
        if session.organization_id is None:
            raise UnknownOrganization(principal.organization)
        await delete_expired_sessions(session, signed_in.created_at)
        if before := cookies.hash_of(request):
            await delete_session(session.connection, before)
        await insert_session(session, hash_id(session_id), signed_in)
        await audit(session, principal, "session.begin", {"expires_at": signed_in.expires_at.isoformat()})
    answer = RedirectResponse(handshake.to, 302)
    cookies.set(answer, cookies.session, session_id, cookies.lifetime.total_seconds())
    cookies.clear(answer, cookies.handshake)
    return answer


@router.post("/logout", status_code=204, response_class=Response)
async def end_session(request: Request) -> Response:
    """End the browser's session and clear its cookies and stored data. Does nothing without a session."""
    app, cookies = app_state(request), sign_in_of(request).cookies
    cookies.check_origin(request)
    session_sha256 = cookies.hash_of(request)
    principal = await cookies.find_principal(app.pool, session_sha256, app.now()) if session_sha256 else None
    if principal and session_sha256:
        async with write_as(app.pool, principal.organization) as session:
            await delete_session(session.connection, session_sha256)
            await audit(session, principal, "session.end", {})
    answer = Response(status_code=204, headers={"Clear-Site-Data": '"cache"'})
    cookies.clear(answer, cookies.session)
    return answer


def sign_in_of(request: Request) -> SignIn:
    sign_in = app_state(request).sign_in
    if sign_in is None:
        raise ApiProblem("not-found", "Browser sign-in is not configured in this deployment.")
    return sign_in


@router.get("/api/v1/session")
async def get_session(request: Request, principal: CurrentUser) -> SessionResponse:
    """The signed-in person, and whether the dashboard is open to them."""
    app = app_state(request)
    async with read_as(app.pool, principal.organization, principal.email) as session:
        organization = session.organization
    refused = find_refusal(app, principal, organization)
    if refused:
        await audit_refusal(app, principal, refused)
    return SessionResponse(
        email=principal.email,
        name=principal.name,
        organization=principal.organization,
        organization_name=organization.name,
        locale=organization.locale,
        time_zone=organization.time_zone,
        role=principal.role,
        people=organization.people,
        my_usage=organization.my_usage,
        expires_at=principal.expires_at,
        auth_method="session" if principal.session_sha256 else "token",
        refusal_reason=str(refused) if refused else None,
    )
