"""The development issuer's codes: what a browser was promised, and the tokens that its code is worth, once (RFC 6749, 7636)."""

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
    """What is wrong with a request; the text is for the person who develops."""


class Chosen(NamedTuple):
    """Whom to sign in as."""

    organization: str
    role: str
    email: str
    name: str


@dataclass(frozen=True)
class Asked:
    """An authorization request."""

    redirect_uri: str
    state: str
    nonce: str
    code_challenge: str

    def answer(self, issuer: str, code: str) -> str:
        """Where the browser goes with its code."""
        return f"{self.redirect_uri}?{urlencode({'code': code, 'state': self.state, 'iss': issuer})}"


def read_asked(parameters: Mapping[str, str]) -> Asked:
    """Raises InvalidRequest; a browser is sent nowhere but to a dashboard on this machine."""
    if parameters.get("response_type") != "code" or parameters.get("client_id") != CLIENT_ID:
        raise InvalidRequest(f"response_type must be code, and client_id {CLIENT_ID}")
    redirect = urlsplit(parameters.get("redirect_uri", ""))
    if redirect.scheme != "http" or not is_loopback(redirect.hostname or "") or redirect[2:] != (CALLBACK_PATH, "", ""):
        raise InvalidRequest(f"redirect_uri must be {CALLBACK_PATH} on a loopback address")
    if parameters.get("code_challenge_method") != "S256" or not parameters.get("code_challenge"):
        raise InvalidRequest("code_challenge is missing, or its method is not S256")
    return Asked(
        redirect.geturl(), parameters.get("state", ""), parameters.get("nonce", ""), parameters["code_challenge"]
    )


class Codes:
    """Codes that were given out and not redeemed yet. Threads share it."""

    def __init__(self) -> None:
        self._promised: dict[str, tuple[Asked, Chosen, float]] = {}
        self._lock = threading.Lock()

    def give(self, asked: Asked, chosen: Chosen) -> str:
        code = secrets.token_urlsafe(32)
        with self._lock:
            if len(self._promised) >= CODES_MAX:
                self._promised.clear()
            self._promised[code] = (asked, chosen, time.monotonic())
        return code

    def redeem(self, form: Mapping[str, str]) -> tuple[Asked, Chosen]:
        """What was promised, which it is no more after the first attempt. Raises InvalidRequest."""
        with self._lock:
            promised = self._promised.pop(form.get("code", ""), None)
        if promised is None:
            raise InvalidRequest("the code is unknown, or was redeemed before")
        asked, chosen, given_at = promised
        if time.monotonic() - given_at > CODE_LIFETIME_S:
            raise InvalidRequest("the code is too old")
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        if not hmac.compare_digest(challenge, asked.code_challenge):
            raise InvalidRequest("code_verifier does not fit the code_challenge")
        if (form.get("client_id"), form.get("redirect_uri")) != (CLIENT_ID, asked.redirect_uri):
            raise InvalidRequest("client_id or redirect_uri are not those that the code was given for")
        return asked, chosen


def mint_tokens(key: RSAPrivateKey, issuer: str, asked: Asked, chosen: Chosen) -> dict[str, str | int]:
    """The token endpoint's answer."""
    return {
        "token_type": "Bearer",
        "expires_in": int(LIFETIME.total_seconds()),
        "access_token": mint_token(key, issuer, chosen.organization, chosen.role, chosen.email, name=chosen.name),
        "id_token": mint_id_token(key, issuer, CLIENT_ID, chosen.email, chosen.name, asked.nonce),
    }
