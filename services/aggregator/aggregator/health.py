"""Checks the dependencies of this process, for the readiness probe."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from runtime.kafka.clients import is_transient
from runtime.periodic import every
from runtime.postgres.pool import Pool
from runtime.postgres.time_zones import ZoneRules

from aggregator.backlog.quarantined import find_widespread
from aggregator.catalog.reader import CatalogReader
from aggregator.catalog.zone_rules import note_unknown_zones
from aggregator.consumer.stuck_detector import ConsumerState
from aggregator.db.statements import SQL

log = structlog.get_logger()
ASK_EVERY_S = 2.0
ANSWER_WITHIN_S = 5.0


class Health:
    """Checks Kafka and Postgres at intervals. These checks are separate from the counting, which waits while they are
    unavailable."""

    def __init__(
        self, pool: Pool, consumer: ConsumerState, catalog_reader: CatalogReader, stall_s: float, zones: ZoneRules
    ) -> None:
        self.outdated_zones: int | None = None
        self.compacted: list[str] = []
        self._widespread: str | None = None
        self._zones = zones
        self._pool = pool
        self._consumer = consumer
        self._catalog_reader = catalog_reader
        self._stall_s = stall_s
        # Both have answered before the process gets here.
        self._problems: dict[str, str | None] = {"kafka": None, "postgres": None}

    async def watch(self) -> None:
        """Check Kafka and Postgres until cancelled."""
        await asyncio.gather(
            every(ASK_EVERY_S, lambda: self._ask("kafka", self._catalog_reader.find_end)),
            every(ASK_EVERY_S, lambda: self._ask("postgres", self._ask_postgres)),
        )

    async def _ask_postgres(self) -> None:
        await self._pool.fetch(SQL["select_progress"], self._catalog_reader.topic)

    async def _ask(self, name: str, ask: Callable[[], Awaitable[object]]) -> None:
        problem = None
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await ask()
        except Exception as error:
            if not is_transient(error):
                raise
            problem = f"does not answer: {type(error).__name__}: {error}".rstrip(": ")
        if (problem is None) != (self._problems[name] is None):
            if problem is None:
                log.info(f"{name} can be used again")
            else:
                log.warning(f"{name} cannot be used", reason=problem)
        self._problems[name] = problem

    async def count_failing(self) -> None:
        """Record organizations whose time zone rules are unknown, and detect a step that fails for so many
        organizations that our code may be at fault."""
        await note_unknown_zones(self._pool, self._catalog_reader.catalog.unknown_zones)
        widespread = await find_widespread(self._pool)
        if widespread and not self._widespread:
            log.error("many organizations are in quarantine", reason=widespread)
        self._widespread = widespread

    def about(self) -> dict[str, object]:
        """Further fields of the readiness answer: the time zone rules, the number of organizations counted by other
        rules, and topics that lose records to compaction."""
        return {
            "time_zones": {**self._zones.about(), "outdated_organizations": self.outdated_zones},
            "compacted_topics": self.compacted,
        }

    def checks(self) -> dict[str, str | None]:
        """The checks of the readiness probe by name: the problem, or None."""
        return {
            **self._problems,
            "partitions": None if self._consumer.is_positioned else "none are assigned yet",
            "progress": self._consumer.why_no_progress(self._stall_s),
            "catalog": self._why_old_catalog(),
            "organizations": self._widespread,
        }

    def _why_old_catalog(self) -> str | None:
        age_s = time.monotonic() - self._catalog_reader.caught_up
        return f"last caught up with {age_s:.0f} s ago" if age_s > self._stall_s else None
