"""API keys in Postgres with a small cache, because the back end of a product sends the same key with every request."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import asyncpg
import structlog
from flexcredits_schemas import NEWEST_MIGRATION
from runtime.postgres.schema import SchemaTooOld, check_schema
from runtime.postgres.statements import load_sql

from ingest.domain.keys import KEY_ID_LENGTH, Scope, StoredKey
from ingest.domain.mapped import Mapped, compile_mapped

log = structlog.get_logger()

SQL = load_sql("ingest")
READ_WITHIN_S = 2.0
WATCH_EVERY_S = 5.0
RETRY_AFTER_S = 1.0
NO_KEY = "-" * KEY_ID_LENGTH  # no key has this id: a query for it shows that the table is readable
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class KeysUnavailable(Exception):
    """Postgres does not answer, and the key is not in the cache."""


class Entry(NamedTuple):
    key: StoredKey | None
    read_at: float


class KeyStore:
    """Keys by id. A revocation takes effect within `fresh_s`. While Postgres is unavailable, a known key works for
    `stale_s`."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        *,
        fresh_s: float,
        stale_s: float,
        entries_max: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._entries_max = entries_max
        self._clock = clock
        # Separate caches, so that a flood of invented ids removes no real key.
        self._known: OrderedDict[str, Entry] = OrderedDict()
        self._unknown: OrderedDict[str, Entry] = OrderedDict()
        self._reads: dict[str, asyncio.Task[StoredKey | None]] = {}
        # For the same reason unknown ids share one connection, and the others stay free for known keys.
        self._strangers = asyncio.Semaphore(1)
        self._failed_at = float("-inf")
        self._answered_at = float("-inf")
        self._problem = "not asked yet"
        self._has_schema = False

    async def find(self, key_id: str) -> StoredKey | None:
        """The key with this id, or None. Raises KeysUnavailable."""
        now = self._clock()
        entry = self._known.get(key_id) or self._unknown.get(key_id)
        if entry and now - entry.read_at < self._fresh_s:
            return entry.key
        stale = entry.key if entry and now - entry.read_at < self._stale_s else None
        if stale and now - self._failed_at < self._fresh_s:
            return stale  # a recent query failed: do not wait again
        try:
            return await asyncio.shield(self._reading(key_id))
        except KeysUnavailable:
            if stale is None:
                raise
            return stale

    async def watch(self) -> None:
        """Check Postgres at intervals until cancelled, for the readiness probe."""
        while True:
            try:
                await self._check_schema()
                await self._read(NO_KEY)
                await asyncio.sleep(WATCH_EVERY_S)
            except KeysUnavailable:
                log.warning("postgres cannot be used", reason=self._problem)
                await asyncio.sleep(RETRY_AFTER_S)

    def why_not_ready(self) -> str | None:
        """The reason why ingest is not ready: Postgres was without the tables of this release or has not answered yet, or all
        known keys have become too old to be used."""
        if self._has_schema and self._clock() - self._answered_at <= self._stale_s + WATCH_EVERY_S:
            return None
        return f"Postgres cannot be used: {self._problem}"

    async def _check_schema(self) -> None:
        """Until it has succeeded once. Raises KeysUnavailable."""
        if self._has_schema:
            return
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                await check_schema(self._pool, NEWEST_MIGRATION)
        except (SchemaTooOld, *FAILURES) as error:
            self._problem = describe(error)
            raise KeysUnavailable("the tables cannot be checked at the moment") from error
        self._has_schema = True

    def _reading(self, key_id: str) -> "asyncio.Task[StoredKey | None]":
        """The task that reads a key. There is one per key, however many requests wait for it."""
        if key_id not in self._reads:
            task = asyncio.create_task(self._read(key_id))
            task.add_done_callback(lambda _: self._reads.pop(key_id))
            self._reads[key_id] = task
        return self._reads[key_id]

    async def _read(self, key_id: str) -> StoredKey | None:
        stranger = key_id != NO_KEY and key_id not in self._known
        try:
            async with asyncio.timeout(READ_WITHIN_S), self._strangers if stranger else nullcontext():
                row = await self._pool.fetchrow(SQL["find_key"], key_id)
        except FAILURES as error:
            self._problem = describe(error)
            if not stranger:
                self._failed_at = self._clock()
            raise KeysUnavailable("the key cannot be checked at the moment") from error
        self._answered_at = self._clock()
        self._failed_at = float("-inf")
        key = None if row is None else self._to_key(row)
        if key_id != NO_KEY:
            self._remember(key_id, key)
        return key

    def _to_key(self, row: "asyncpg.Record") -> StoredKey:
        scope = Scope(frozenset(row["organizations"]), frozenset(row["products"]))
        mapped = self._mapped(row["key_id"], row["mapping"], scope.only_organization)
        return StoredKey(row["key_id"], row["secret_sha256"], scope, row["expires_at"], row["revoked_at"], mapped)

    def _mapped(self, key_id: str, text: str | None, organization: str | None) -> Mapped | None:
        """The compiled mapping, or the cached one if its text is still the same."""
        if text is None:
            return None
        entry = self._known.get(key_id)
        if entry and entry.key and entry.key.mapped and entry.key.mapped.is_of(text, organization):
            return entry.key.mapped
        return compile_mapped(text, organization)

    def _remember(self, key_id: str, key: StoredKey | None) -> None:
        here, elsewhere = (self._known, self._unknown) if key else (self._unknown, self._known)
        elsewhere.pop(key_id, None)
        here[key_id] = Entry(key, self._clock())
        here.move_to_end(key_id)
        if len(here) > self._entries_max:
            here.popitem(last=False)


def describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
