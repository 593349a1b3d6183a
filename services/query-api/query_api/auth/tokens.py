"""Who asks: bearer tokens (RFC 6750) verified by the identity provider's published keys."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import BaseHandler, HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

import jwt
import structlog

from query_api.http.fields import Refused
from query_api.metrics import KEY_FETCHES, KEYS_FETCHED_AT
from query_api.settings import is_loopback

log = structlog.get_logger()

LEEWAY_S = 30
FAR_S = 253_402_300_799  # the last second that has a date
TOKEN_BYTES_MAX = 8192
KEYS_BYTES_MAX = 512 * 1024
FETCH_WITHIN_S = 5
REFETCH_AFTER_S = 10.0
"""Between two fetches at least: tokens with made-up key ids cannot make us flood the identity provider."""
RENEW_EVERY_S = 300.0
RETRY_EVERY_S = 2.0

LOOKS = frozenset({"super_admin", "admin", "billing_moderator"})
"""Roles that may look at the dashboard; a Billing Moderator only where deployment and organization allow it."""

ASK = "Contact a Super Admin of your organization to confirm your role and permissions."

_ORGANIZATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
# An access token says so (RFC 9068) or just JWT; a logout or identity assertion with its own type is none.
_TYPES = {None, "jwt", "at+jwt", "application/at+jwt"}


class Person(NamedTuple):
    """Identified by issuer and subject; the organization comes from the token alone, never from the request."""

    subject: str
    organization: str
    role: str
    email: str
    name: str = ""
    expires_at: datetime | None = None
    session_sha256: str = ""  # of a browser's session, or empty


class KeysUnknown(Exception):
    """The identity provider has not answered yet."""


class SigningKeys:
    """The identity provider's keys by id. What was read once is used until something newer can be read."""

    def __init__(self, fetch: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        """`fetch` is called in a thread and returns a JSON Web Key Set (RFC 7517); it may raise OSError."""
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] | None = None
        self._asked_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    @property
    def known(self) -> bool:
        return self._keys is not None

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key, asking again for one that is new to us. Raises KeysUnknown."""
        if self._keys is None or key_id not in self._keys:
            await self.renew()
        if self._keys is None:
            raise KeysUnknown(KeysUnknown.__doc__)
        return self._keys.get(key_id)

    async def renew(self) -> None:
        """Read the keys again, unless that was tried a moment ago. Failing leaves the old ones."""
        async with self._one_at_a_time:
            if self._clock() - self._asked_at < REFETCH_AFTER_S:
                return
            self._asked_at = self._clock()
            try:
                self._keys = read_keys(await asyncio.to_thread(self._fetch))
            except (OSError, ValueError) as error:
                KEY_FETCHES.labels("failed").inc()
                log.warning("signing keys not read", reason=f"{type(error).__name__}: {error}")
            else:
                KEY_FETCHES.labels("ok").inc()
                KEYS_FETCHED_AT.set_to_current_time()

    async def keep_fresh(self) -> None:
        """Read the keys at once and now and again, for ever, so that a withdrawn key is forgotten."""
        while True:
            await self.renew()
            await asyncio.sleep(RENEW_EVERY_S if self.known else RETRY_EVERY_S)


def read_keys(document: bytes) -> dict[str, jwt.PyJWK]:
    """Usable keys of a JSON Web Key Set: public, for signatures, with an id. Raises ValueError if there is none."""
    entries = json.loads(document)
    entries = entries.get("keys") if isinstance(entries, dict) else None
    keys = {}
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC") or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(entry)
        except jwt.PyJWTError:
            continue  # a kind of key we do not know must not lock out those that sign with another
        if isinstance(key.key_id, str) and key.algorithm_name in ("RS256", "ES256"):
            keys[key.key_id] = key
    if not keys:
        raise ValueError("no key for RS256 or ES256 in the key set")
    return keys


class Stay(HTTPRedirectHandler):
    """Follows no redirect: an address that decides who is let in is the one that the settings say."""

    def redirect_request(self, *_: Any) -> None:
        return None


def open_at(url: str) -> OpenerDirector:
    handlers: list[BaseHandler] = [Stay()]
    if is_loopback(urlsplit(url).hostname or ""):
        handlers.append(ProxyHandler({}))  # a proxy has another idea of what this machine is
    return build_opener(*handlers)


def fetch_from(url: str) -> Callable[[], bytes]:
    """Reads the key set at `url`, within limits, and does not follow it elsewhere."""
    opener = open_at(url)

    def fetch() -> bytes:
        with opener.open(Request(url, headers={"Accept": "application/json"}), timeout=FETCH_WITHIN_S) as answer:
            document: bytes = answer.read(KEYS_BYTES_MAX + 1)
        if len(document) > KEYS_BYTES_MAX:
            raise ValueError("the key set is too large")
        return document

    return fetch


class Verifier:
    """Turns an Authorization header into a person."""

    def __init__(self, keys: SigningKeys, issuer: str, audience: str) -> None:
        self._keys = keys
        self.issuer = issuer
        self._audience = audience

    async def identify(self, scheme: str, token: str) -> Person:
        """Raises Refused: 401 for anything but a valid token, 503 while no key could be read yet."""
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("send an access token as `Authorization: Bearer ...`", error=False)
        return read_person(await self.verify(token))

    async def verify(self, token: str, audience: str | None = None) -> dict[str, Any]:
        """Claims of a token for us, or for another audience of the same issuer. Raises Refused as identify does."""
        if len(token) > TOKEN_BYTES_MAX:
            raise unauthorized("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            key_id, token_type = header.get("kid"), header.get("typ")
            if not isinstance(key_id, str):
                raise unauthorized("the token names no key")
            if (token_type.lower() if isinstance(token_type, str) else token_type) not in _TYPES:
                raise unauthorized("this is not an access token")
            key = await self._keys.find(key_id)
            if key is None:
                raise unauthorized("the token is signed with an unknown key")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256", "ES256"],
                issuer=self.issuer,
                audience=audience or self._audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "aud", "iss", "sub"], "enforce_minimum_key_length": True},
            )
        except KeysUnknown as error:
            raise Refused("unavailable", f"tokens cannot be verified: {error}", headers={"Retry-After": "2"}) from None
        except (jwt.PyJWTError, RecursionError) as error:
            raise unauthorized(describe(error)) from None
        return claims


def describe(error: Exception) -> str:
    """What a client may know about why its token is refused."""
    match error:
        case jwt.ExpiredSignatureError():
            return "the token has expired"
        case jwt.ImmatureSignatureError() | jwt.InvalidIssuedAtError():
            return "the token is not valid yet"
        case jwt.InvalidAudienceError():
            return "the token is for another audience"
        case jwt.InvalidIssuerError():
            return "the token is from another issuer"
        case jwt.MissingRequiredClaimError():
            return f"the token lacks the claim `{error.claim}`"
        case _:
            return "the token is not valid"


def read_person(claims: dict[str, Any]) -> Person:
    """Raises Refused when the claims name no organization; an unknown role is left to the policy, which refuses it."""
    organization, role, email, name = (claims.get(key) for key in ("organization", "role", "email", "name"))
    if not isinstance(organization, str) or not _ORGANIZATION.fullmatch(organization):
        raise unauthorized("the token lacks the claim `organization`")
    return Person(
        readable(claims["sub"]),
        organization,
        readable(role),
        readable(email).lower(),
        readable(name),
        datetime.fromtimestamp(min(int(claims["exp"]), FAR_S), UTC),
    )


def readable(claim: object) -> str:
    """A text that Postgres can keep, else an empty one; halves of surrogate pairs are left out."""
    return claim.encode(errors="ignore").decode() if isinstance(claim, str) and "\0" not in claim else ""


def unauthorized(detail: str, *, error: bool = True) -> Refused:
    challenge = 'Bearer realm="flexcredits"'
    if error:
        challenge += f', error="invalid_token", error_description="{detail.replace("`", "")}"'
    return Refused("unauthorized", detail, headers={"WWW-Authenticate": challenge})


def check_role(person: Person, *, removed: bool, deployment_allows: bool, organization_allows: bool) -> None:
    """Let those pass who may look at the dashboard. Raises Refused, which says whom to ask."""
    if removed:
        raise Refused("forbidden", f"You are no longer a member of this organization. {ASK}")
    if person.role not in LOOKS:
        raise Refused("forbidden", f"FlexCredits is open to Super Admins, Admins and Billing Moderators. {ASK}")
    if person.role == "billing_moderator" and not (deployment_allows and organization_allows):
        where = "this organization" if deployment_allows else "this deployment"
        raise Refused("forbidden", f"Billing Moderators are not enabled in {where}. {ASK}")


def check_admin(person: Person) -> None:
    """Let Super Admins and Admins pass, of those who may look. Raises Refused."""
    if person.role not in ("super_admin", "admin"):
        raise Refused("forbidden", f"This is for Super Admins and Admins. {ASK}")
