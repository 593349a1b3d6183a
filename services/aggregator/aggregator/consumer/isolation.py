"""Finds the organizations whose data makes a batch fail, and counts the rest of the batch without them."""

import time
from collections.abc import Mapping, Sequence
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
from aggregator.domain.decode import DecodedBatch, organizations_of, without_columns
from aggregator.domain.sum_limit import SumLimit

log = structlog.get_logger()
UNEXPLAINED_MAX = 3
TRIALS_S = 20.0
"""Time limit of the search, enough to try thousands of organizations. Those that were not tried are quarantined too,
for the five seconds until each is retried alone: a search without a limit would delay the whole partition."""
TRIAL_STATEMENT_S = 2.0
"""Statement timeout of trials after a timeout. Usual statements take tenths of a second, and those of half a batch less
than those of the whole."""
SLOW_MAX = 3
"""Timeouts of a batch with only one organization before it is quarantined: no other usage shows whether the server is
slow."""


@dataclass
class _Search:
    """Searches by halves for the organizations whose usage fails. To find one of many takes the time of about three
    batches."""

    pool: Pool
    topics: tuple[str, str]
    batch: DecodedBatch
    catalog: Catalog
    statement_s: float
    ends: float
    """Deadline of the search in monotonic seconds."""
    has_passed: bool = False
    """Whether the usage of any organization could be stored."""

    async def find(self, names: Sequence[str], step: str, error: Exception) -> dict[str, str]:
        """The organizations whose usage fails alone, and why. `error` is the failure of their common batch at
        `step`."""
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
            batch = without_columns(only(self.batch, set(names)))
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
    """Count a batch. Usage that fails for one organization is quarantined, and all other usage is counted.

    Raises a failure that no organization's data causes, and QueryCanceledError when Postgres is slow for all
    organizations, or only for the batch as a whole.
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
            if batch.columns and not is_slow:
                # The exact path finds out whose usage fails. It also counts what only the columns could not.
                log.warning("counting a batch without columns", reason=f"{result.step}: {describe_failure(error)}")
                batch = without_columns(batch)
                continue
            if is_slow and was_slow:
                raise
            was_slow |= is_slow
            names = sorted(organizations_of(batch) - catalog.aside - failing.keys())
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
            unexplained += not found  # no organization fails alone
            if unexplained == UNEXPLAINED_MAX:
                raise
        else:
            catalog.slow_batches = 0
            _log_quarantines(failing)
            return counted


def _log_quarantines(failing: Mapping[str, str]) -> None:
    for name, reason in failing.items():
        metrics.QUARANTINES.labels("aggregator").inc()
        log.error("organization in quarantine", organization=name, reason=reason)
