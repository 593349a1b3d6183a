"""The development issuer's authorization codes: issues them, and exchanges each once for tokens (RFC 6749, RFC 7636)."""

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from flexcredits_cli.dev_idp.tokens import LIFETIME, mint_id_token, mint_token
from flexcredits_cli.machine.ports import is_loopback

CLIENT_ID = "flexcredits-dashboard"
CODE_LIFETIME_S = 60
CODES_MAX = 1000
CALLBACK_PATH = "/login/callback"


class InvalidRequest(Exception):
    """An invalid request. The text explains the error to a developer."""


class Person(NamedTuple):
    """The person who signs in."""

    organization: str
    role: str
    email: str
    name: str


@dataclass(frozen=True)
class AuthorizationRequest:
    """An authorization request."""

    redirect_uri: str
    state: str
    nonce: str
    code_challenge: str

    def answer(self, issuer: str, code: str) -> str:
        """The URL that returns the browser and its code to the dashboard."""
        return f"{self.redirect_uri}?{urlencode({'code': code, 'state': self.state, 'iss': issuer})}"


def parse_request(parameters: Mapping[str, str]) -> AuthorizationRequest:
    """Parse an authorization request. Raises InvalidRequest, also for a redirect_uri that is not on this machine."""
    if parameters.get("response_type") != "code" or parameters.get("client_id") != CLIENT_ID:
        raise InvalidRequest(f"response_type must be code, and client_id {CLIENT_ID}")
    redirect = urlsplit(parameters.get("redirect_uri", ""))
    if redirect.scheme != "http" or not is_loopback(redirect.hostname or "") or redirect[2:] != (CALLBACK_PATH, "", ""):
        raise InvalidRequest(f"redirect_uri must be {CALLBACK_PATH} on a loopback address")
    if parameters.get("code_challenge_method") != "S256" or not parameters.get("code_challenge"):
        raise InvalidRequest("code_challenge is missing, or its method is not S256")
    return AuthorizationRequest(
        redirect.geturl(), parameters.get("state", ""), parameters.get("nonce", ""), parameters["code_challenge"]
    )


class Codes:
    """Issued codes that are not redeemed yet. Thread-safe."""

    def __init__(self) -> None:
        self._promised: dict[str, tuple[AuthorizationRequest, Person, float]] = {}
        self._lock = threading.Lock()

    def give(self, request: AuthorizationRequest, person: Person) -> str:
        code = secrets.token_urlsafe(32)
        with self._lock:
            if len(self._promised) >= CODES_MAX:
                self._promised.clear()
            self._promised[code] = (request, person, time.monotonic())
        return code

    def redeem(self, form: Mapping[str, str]) -> tuple[AuthorizationRequest, Person]:
        """Exchange a code for its request and person. The first attempt consumes the code. Raises InvalidRequest."""
        with self._lock:
            promised = self._promised.pop(form.get("code", ""), None)
        if promised is None:
            raise InvalidRequest("the code is unknown, or was redeemed before")
        request, person, given_at = promised
        if time.monotonic() - given_at > CODE_LIFETIME_S:
            raise InvalidRequest("the code has expired")
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        if not hmac.compare_digest(challenge, request.code_challenge):
            raise InvalidRequest("code_verifier does not match the code_challenge")
        if (form.get("client_id"), form.get("redirect_uri")) != (CLIENT_ID, request.redirect_uri):
            raise InvalidRequest("client_id or redirect_uri differ from those of the authorization request")
        return request, person


def mint_tokens(key: RSAPrivateKey, issuer: str, request: AuthorizationRequest, person: Person) -> dict[str, str | int]:
    """The token endpoint's response."""
    return {
        "token_type": "Bearer",
        "expires_in": int(LIFETIME.total_seconds()),
        "access_token": mint_token(key, issuer, person.organization, person.role, person.email, name=person.name),
        "id_token": mint_id_token(key, issuer, CLIENT_ID, person.email, person.name, request.nonce),
    }
