"""Sign-in handshake, bound to one browser: state, nonce, PKCE (RFC 7636), and the page to return to. Pure."""

import hmac
import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, unquote

PATH_CHARACTERS_MAX = 2000

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
# Browsers read a backslash as a slash and skip tabs and line ends, and two slashes begin a host.
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


class Handshake(NamedTuple):
    """The secret is only in the browser's cookie. State, nonce and PKCE verifier are derived from it one-way (HMAC-SHA256)."""

    secret: str
    to: str

    @property
    def state(self) -> str:
        return self._derive("state")

    @property
    def nonce(self) -> str:
        return self._derive("nonce")

    @property
    def code_verifier(self) -> str:
        return self._derive("code verifier")

    @property
    def code_challenge(self) -> str:
        return encode(sha256(self.code_verifier.encode()).digest())

    def _derive(self, purpose: str) -> str:
        return encode(hmac.digest(self.secret.encode(), purpose.encode(), "sha256"))

    def to_cookie(self) -> str:
        return f"{self.secret}.{quote(self.to, safe='/')}"


def read_handshake(cookie: str) -> Handshake | None:
    """Parse the value of `to_cookie`; None if invalid. A path to another origin becomes `/`."""
    secret, _, to = cookie.partition(".")
    if not _SECRET.fullmatch(secret):
        return None
    to = unquote(to)
    return Handshake(secret, to if is_local(to) else "/")


def is_local(path: str) -> bool:
    """Whether a browser that is sent to `path` stays on this origin."""
    return len(path) <= PATH_CHARACTERS_MAX and _LOCAL.fullmatch(path) is not None


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
