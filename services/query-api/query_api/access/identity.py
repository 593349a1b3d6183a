"""Who sends a request: the principal of its token or session."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from query_api.access.state import AppState, app_state
from query_api.auth.principal import Principal, unauthorized

Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False, bearerFormat="JWT"))]
SessionCookie = Annotated[
    str | None,
    Depends(
        APIKeyCookie(
            name="__Host-flexcredits",
            scheme_name="Session",
            description="Set by /login. In development without TLS its name is `flexcredits`.",
            auto_error=False,
        )
    ),
]


async def identify(request: Request, credentials: Credentials, _described: SessionCookie) -> AsyncIterator[Principal]:
    """Policy: a valid token, or the cookie of a session. Counts among the requests of the organization until the answer is sent.
    Raises ApiProblem."""
    app = app_state(request)
    principal = await find_principal(app, request, credentials)
    with app.presence.enter(principal.organization):
        yield principal


async def find_principal(
    app: AppState, request: Request, credentials: HTTPAuthorizationCredentials | None
) -> Principal:
    """Raises ApiProblem."""
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
