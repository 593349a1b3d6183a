"""Organizations whose own data made a step fail: quarantined for that step only, retried with backoff, and shown in
metrics.

Callers raise failures of Postgres and of connections instead. A step that fails for many organizations makes the
process unready but does not stop it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import structlog
from runtime.isolation import is_widespread
from runtime.postgres.pool import Pool

from alerter.db.quarantine_queries import (
    Released,
    Step,
    claim_quarantined,
    count_organizations,
    quarantine_organization,
    release_finished,
    release_organizations,
    select_quarantined,
)
from alerter.metrics import QUARANTINE_FAILURES, QUARANTINED

log = structlog.get_logger()

STEPS: tuple[Step, ...] = ("evaluate", "wakeup", "project", "mail", "channel", "request", "publish")

RETRY_S, RETRY_MAX_S = 5.0, 600.0
"""The first wait, which doubles with every further failure, and the longest one."""
LEASE_S = 60.0
"""Longer than a retry takes. After this time another process retries."""
AT_ONCE = 100
UNWRITABLE = "could not be written, the operators were notified"
"""The detail of an attempt when our own code could not write the mail or message."""
REASON_CHARACTERS_MAX = 200


class Quarantine:
    """The alerter's rows of the table `quarantine`."""

    def __init__(self, pool: Pool) -> None:
        self.widespread: str | None = None
        """The reason when a step fails for so many organizations that our code may be at fault, at the last
        measurement."""
        self._pool = pool

    async def read(self) -> dict[Step, set[int]]:
        """The quarantined organizations by step."""
        held: dict[Step, set[int]] = defaultdict(set)
        for row in await select_quarantined(self._pool):
            held[row.step].add(row.organization_id)
        return held

    async def add(self, step: Step, failures: Mapping[int, Exception]) -> None:
        """Quarantine these organizations, given by number."""
        for organization_id, error in sorted(failures.items()):
            reason = describe(step, error)
            QUARANTINE_FAILURES.labels(step).inc()
            added = await quarantine_organization(self._pool, organization_id, step, reason, RETRY_S, RETRY_MAX_S)
            if added.is_news:
                traceback = None if step == "channel" else error
                log.warning("set aside", organization=added.organization, step=step, reason=reason, exc_info=traceback)

    async def release(self, organization_ids: Iterable[int], steps: Iterable[Step]) -> None:
        """Release organizations that succeeded at these steps."""
        log_released(await release_organizations(self._pool, list(organization_ids), list(steps)))

    async def claim_due(self) -> dict[Step, list[int]]:
        """Organizations to retry now, by step; no other process retries them for `LEASE_S`. Releases those whose
        outboxes are done."""
        log_released(await release_finished(self._pool, UNWRITABLE))
        due: dict[Step, list[int]] = defaultdict(list)
        for organization_id, step in await claim_quarantined(self._pool, AT_ONCE, LEASE_S):
            due[step].append(organization_id)
        return due

    async def measure(self) -> None:
        """Set the metrics of quarantined organizations, and `widespread`."""
        counted = Counter(row.step for row in await select_quarantined(self._pool))
        known = await count_organizations(self._pool) if counted else 0
        many = [step for step in STEPS if counted[step] and is_widespread(counted[step], known)]
        widespread = f"{many[0]} fails for {counted[many[0]]} of {known} organizations" if many else None
        if widespread and not self.widespread:
            log.error("many organizations are set aside", reason=widespread)
        self.widespread = widespread
        for step in STEPS:
            QUARANTINED.labels(step).set(counted[step])


def log_released(released: Iterable[Released]) -> None:
    for organization, step in released:
        log.info("no longer set aside", organization=organization, step=step)


def describe(step: Step, error: Exception) -> str:
    """Class and first line of an error. For channels the class only, because addresses are secrets. Postgres does not
    store NUL."""
    name = type(error).__name__
    if step == "channel":
        return name
    first, _, _ = f"{error}".partition("\n")
    return f"{name}: {first}".replace("\0", " ").encode(errors="replace").decode()[:REASON_CHARACTERS_MAX]
