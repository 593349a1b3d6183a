"""A batch that fails: by whose data, and the rest of it counted without them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from runtime.isolation import concerns_one, describe_failure
from runtime.postgres.errors import timed_out
from runtime.postgres.pool import Pool

from aggregator import metrics
from aggregator.db.batch.apply import OnTrial, apply_batch
from aggregator.db.catalog_cache import STATEMENT_S, Catalog
from aggregator.db.quarantine import only
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import DecodedBatch
from aggregator.domain.sum_limit import SumLimit

log = structlog.get_logger()
UNEXPLAINED_MAX = 3
TRIALS_S = 20.0
"""Thousands of organizations are tried within this time. Those that are not have to wait with those that failed, for the
five seconds until they are retried alone: a search without an end would keep the whole partition waiting."""
TRIAL_STATEMENT_S = 2.0
"""After a statement that took too long. Usual ones take tenths of a second, and half of the batch less than the whole."""
SLOW_MAX = 3
"""So often a batch of one organization alone may take too long: nobody else's usage shows whether the server is slow."""


@dataclass
class _Search:
    """For whom a batch fails. By halves, so that one of many is found in the time of some three batches."""

    pool: Pool
    topics: tuple[str, str]
    batch: DecodedBatch
    catalog: Catalog
    statement_s: float
    ends: float
    """Monotonic seconds."""
    has_passed: bool = False
    """Whether anybody's usage could be stored."""

    async def find(self, names: Sequence[str], step: str, error: Exception) -> dict[str, str]:
        """Those of these organizations, whose batch failed at a step, whose usage alone fails, and why."""
        if len(names) == 1:
            return {names[0]: f"{step}: {describe_failure(error)}"}
        half = len(names) // 2
        return await self._try(names[:half]) | await self._try(names[half:])

    async def _try(self, names: Sequence[str]) -> dict[str, str]:
        if not names:
            return {}
        if time.monotonic() > self.ends:
            return dict.fromkeys(names, "not tried alone: too many others of its batch failed")
        result = BatchResult()
        try:
            batch = only(self.batch, set(names))
            await apply_batch(
                self.pool, self.topics, batch, self.catalog, result, on_trial=True, statement_s=self.statement_s
            )
        except OnTrial:
            self.has_passed = True
            return {}
        except SumLimit as error:
            self.catalog.limited |= error.organizations
            return await self._try(names)
        except Exception as error:
            if result.step == "positions" or not concerns_one(error):
                raise
            return await self.find(names, result.step, error)
        raise AssertionError("a trial ends by an exception")


async def count_batch(
    pool: Pool, topics: tuple[str, str], batch: DecodedBatch, catalog: Catalog, trials_s: float = TRIALS_S
) -> BatchResult:
    """apply_batch; what fails for an organization is set aside for it, and everybody else's usage is counted.

    Raises what fails when it is nobody's data, and QueryCanceledError when Postgres is slow for everybody, or only for all
    of the batch together.
    """
    failing = {at.organization: f"reading: {describe_failure(at.error)}" for at in batch.failures}
    unexplained, was_slow = 0, False
    while True:
        result = BatchResult()
        try:
            counted = await apply_batch(pool, topics, batch, catalog, result, failing)
        except SumLimit as error:
            catalog.limited |= error.organizations
        except Exception as error:
            if result.step == "positions" or not concerns_one(error):
                raise
            is_slow = timed_out(error)
            if is_slow and was_slow:
                raise
            was_slow |= is_slow
            tried = {use.series[0] for use in (*batch.uses, *batch.corrections)} - catalog.aside
            names = sorted(tried - failing.keys())
            statement_s = TRIAL_STATEMENT_S if is_slow else STATEMENT_S
            ends = time.monotonic() + (trials_s / 2 if is_slow else trials_s)
            search = _Search(pool, topics, batch, catalog, statement_s, ends)
            found = await search.find(names, result.step, error)
            if is_slow and not search.has_passed:
                catalog.slow_batches += 1
                if len(names) > 1 or catalog.slow_batches < SLOW_MAX:
                    raise
            if is_slow and not found:
                raise
            failing |= found
            unexplained += not found  # it has passed, or fails only for all together
            if unexplained == UNEXPLAINED_MAX:
                raise
        else:
            catalog.slow_batches = 0
            for name, reason in failing.items():
                metrics.QUARANTINES.labels("aggregator").inc()
                log.error("organization in quarantine", organization=name, reason=reason)
            return counted
