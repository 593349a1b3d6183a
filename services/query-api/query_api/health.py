"""Readiness of the query API: Postgres and signing keys."""

import time

import structlog
from runtime.periodic import every
from runtime.postgres.pool import Pool
from runtime.postgres.time_zones import ZoneRules

from query_api.auth.signing_keys import SigningKeys
from query_api.db.replica import Replica
from query_api.db.session import Busy, LastAnswer, find_problem

log = structlog.get_logger()

CHECK_EVERY_S = 2.0
ANSWER_WITHIN_S = 10.0
"""Long enough for a machine under load; a check that takes longer means that the database hangs."""


class Health:
    """Readiness checks. Signing keys count only until they were fetched once; later outages of the provider do no harm.

    A check that gets no session in time is no problem while Postgres answers other statements of this process: behind a pooler
    all processes share the sessions, and without this every process would be taken out of service at once.
    """

    def __init__(
        self, pool: Pool, answer: LastAnswer, keys: SigningKeys, zones: ZoneRules, replica: Replica | None = None
    ) -> None:
        self._pool = pool
        self._answer = answer
        self._keys = keys
        self._zones = zones
        self._replica = replica
        self._problem: str | None = "Postgres: not checked yet"
        self._is_busy = False
        self._asking_since: float | None = None

    async def watch(self) -> None:
        """Check Postgres every CHECK_EVERY_S. After the first success, compare its time zone rules with those of this process."""
        await every(CHECK_EVERY_S, self._check)

    async def _check(self) -> None:
        self._asking_since = time.monotonic()
        error = await find_problem(self._pool)
        self._asking_since = None
        self._is_busy = isinstance(error, Busy)
        problem = f"Postgres: {error}" if error else None
        if problem != self._problem:
            if problem is None:
                log.info("Postgres is available")
            else:
                log.warning("Postgres is unavailable", reason=problem)
        self._problem = problem
        if problem is None and self._zones.differing is None:
            await self._zones.compare(self._pool)

    def about(self) -> dict[str, object]:
        replica = {"replica": self._replica.about()} if self._replica else {}
        return {"time_zones": self._zones.about(), **replica}

    def checks(self) -> dict[str, str | None]:
        """Problems for the readiness probe; none if ready."""
        since = self._asking_since
        waits = since is not None and time.monotonic() - since > ANSWER_WITHIN_S
        problem = f"Postgres: no answer for {ANSWER_WITHIN_S:g} s" if waits else self._problem
        if (waits or self._is_busy) and self._answer.is_within(ANSWER_WITHIN_S):
            problem = None
        unread = None if self._keys.known else "the signing keys were not fetched yet"
        return {"postgres": problem, "signing_keys": unread}
