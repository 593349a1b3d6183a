"""The identity provider's signing keys (RFC 7517): fetched, refreshed and found by key id."""

import asyncio
import json
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import BaseHandler, HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

import jwt
import structlog

from query_api.metrics import KEY_FETCHES, KEYS_FETCHED_AT
from query_api.settings import is_loopback

log = structlog.get_logger()

KEYS_BYTES_MAX = 512 * 1024
FETCH_WITHIN_S = 5
REFETCH_AFTER_S = 10.0
"""Minimum time between two fetches, so that tokens with invented key ids cannot flood the identity provider."""
RENEW_EVERY_S = 300.0
RETRY_EVERY_S = 2.0
NO_ANSWER = (OSError, HTTPException, ValueError, RecursionError)
"""The identity provider, or what stands in its place, is unreachable, speaks no HTTP, or sends no JSON."""


class KeysUnavailable(Exception):
    """The signing keys could not be fetched yet."""


class SigningKeys:
    """Signing keys by id. If a fetch fails, the last known keys stay in use."""

    def __init__(self, fetch: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        """`fetch` is called in a thread and returns a JSON Web Key Set (RFC 7517); it may raise NO_ANSWER."""
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] | None = None
        self._asked_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    @property
    def known(self) -> bool:
        return self._keys is not None

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key; fetches the key set again if the id is unknown. Raises KeysUnavailable."""
        if self._keys is None or key_id not in self._keys:
            await self.renew()
        if self._keys is None:
            raise KeysUnavailable(KeysUnavailable.__doc__)
        return self._keys.get(key_id)

    async def renew(self) -> None:
        """Fetch the keys, unless the last try was less than REFETCH_AFTER_S ago. On failure the old keys stay."""
        async with self._one_at_a_time:
            if self._clock() - self._asked_at < REFETCH_AFTER_S:
                return
            self._asked_at = self._clock()
            try:
                self._keys = read_keys(await asyncio.to_thread(self._fetch))
            except (*NO_ANSWER, TypeError, jwt.PyJWTError) as error:
                KEY_FETCHES.labels("failed").inc()
                log.warning("could not fetch the signing keys", reason=f"{type(error).__name__}: {error}")
            else:
                KEY_FETCHES.labels("ok").inc()
                KEYS_FETCHED_AT.set_to_current_time()

    async def keep_fresh(self) -> None:
        """Fetch the keys now and every RENEW_EVERY_S, so that revoked keys are dropped."""
        while True:
            await self.renew()
            await asyncio.sleep(RENEW_EVERY_S if self.known else RETRY_EVERY_S)


def read_keys(document: bytes) -> dict[str, jwt.PyJWK]:
    """Usable keys of a JSON Web Key Set: RSA or EC, for signatures, with an id. Raises an error if there is none."""
    entries = json.loads(document)
    usable = {
        key.key_id: key
        for key in jwt.PyJWKSet.from_dict(entries if isinstance(entries, dict) else {})
        if isinstance(key.key_id, str)
        and key.public_key_use in ("sig", None)
        and key.algorithm_name in ("RS256", "ES256")
    }
    if not usable:
        raise ValueError("no key for RS256 or ES256 in the key set")
    return usable


class NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: keys and tokens come only from the configured addresses."""

    def redirect_request(self, *_: Any) -> None:
        return None


def open_at(url: str) -> OpenerDirector:
    handlers: list[BaseHandler] = [NoRedirects()]
    if is_loopback(urlsplit(url).hostname or ""):
        handlers.append(ProxyHandler({}))  # a proxy would connect to its own loopback interface
    return build_opener(*handlers)


def fetch_from(url: str) -> Callable[[], bytes]:
    """A function that fetches the key set at `url`, with limits for time and size, without redirects."""
    opener = open_at(url)

    def fetch() -> bytes:
        try:
            with opener.open(Request(url, headers={"Accept": "application/json"}), timeout=FETCH_WITHIN_S) as answer:
                document: bytes = answer.read(KEYS_BYTES_MAX + 1)
        except HTTPError as error:
            error.close()  # it holds the connection
            raise
        if len(document) > KEYS_BYTES_MAX:
            raise ValueError("the key set is too large")
        return document

    return fetch
