"""OpenID Connect client for browser sign-in: authorization URL and code exchange."""

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request

import structlog

from query_api.auth.handshake import Handshake
from query_api.auth.principal import Principal, read_principal
from query_api.auth.signing_keys import FETCH_WITHIN_S, NO_ANSWER, open_at
from query_api.auth.tokens import Verifier
from query_api.http.problems import ApiProblem

log = structlog.get_logger()

TOKENS_BYTES_MAX = 64 * 1024


@dataclass(frozen=True)
class Issuer:
    """Authorization code flow with PKCE (OpenID Connect Core 3.1, RFC 7636, RFC 9700)."""

    verifier: Verifier
    authorization_url: str
    token_url: str
    client_id: str
    client_secret: str | None
    redirect_url: str

    def begin(self, handshake: Handshake) -> str:
        """Authorization URL for the browser."""
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_url,
            "scope": "openid profile email",
            "state": handshake.state,
            "nonce": handshake.nonce,
            "code_challenge": handshake.code_challenge,
            "code_challenge_method": "S256",
        }
        separator = "&" if urlsplit(self.authorization_url).query else "?"
        return f"{self.authorization_url}{separator}{urlencode(parameters)}"

    async def finish(self, handshake: Handshake, code: str) -> Principal:
        """Exchange the code and return the principal. Raises ApiProblem."""
        return await self.check(handshake, await asyncio.to_thread(self._exchange, handshake, code))

    async def check(self, handshake: Handshake, tokens: Mapping[str, Any]) -> Principal:
        """Verify the tokens and return their principal. Raises ApiProblem.

        The access token grants access, as for programs, and must be for our audience. The ID token binds it to this
        sign-in by its nonce.
        """
        access_token, id_token = tokens.get("access_token"), tokens.get("id_token")
        if not isinstance(access_token, str) or not isinstance(id_token, str):
            raise sign_in_failed("The identity provider sent no tokens.")
        try:
            claims = await self.verifier.verify(access_token)
            identity = await self.verifier.verify(id_token, self.client_id)
            principal = read_principal(claims)
        except ApiProblem as refused:
            if refused.status == 503:
                raise
            raise sign_in_failed(f"The identity provider's response is not valid: {refused}.") from None
        if identity.get("nonce") != handshake.nonce or identity["sub"] != claims["sub"]:
            raise sign_in_failed("The identity provider's response belongs to another sign-in.")
        return principal

    def _exchange(self, handshake: Handshake, code: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_url,
            "client_id": self.client_id,
            "code_verifier": handshake.code_verifier,
        }
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if self.client_secret is not None:
            pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        try:
            request = Request(self.token_url, urlencode(form).encode(), headers)
            with open_at(self.token_url).open(request, timeout=FETCH_WITHIN_S) as answer:
                tokens = json.loads(answer.read(TOKENS_BYTES_MAX))
        except HTTPError as error:
            error.close()
            if error.code < 500:
                raise sign_in_failed(
                    "The identity provider rejected this code: it was used before or has expired."
                ) from None
            raise provider_unavailable(error) from error
        except NO_ANSWER as error:
            raise provider_unavailable(error) from error
        return tokens if isinstance(tokens, dict) else {}


def sign_in_failed(detail: str) -> ApiProblem:
    return ApiProblem("sign-in-failed", f"{detail} Try again at /login.")


def provider_unavailable(error: Exception) -> ApiProblem:
    log.warning("code exchange failed", reason=f"{type(error).__name__}: {error}")
    return ApiProblem("unavailable", "The identity provider isn't responding.", headers={"Retry-After": "2"})
