"""A batch that fails: by whose data, and the rest of it counted without them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import structlog
from runtime.isolation import describe_failure, is_data_failure
from runtime.postgres import Pool

from aggregator import metrics
from aggregator.aside import COUNTING, only
from aggregator.catalog import SQL, Catalog
from aggregator.limits import SumLimit
from aggregator.outcome import Outcome
from aggregator.reading import Reading
from aggregator.store import OnTrial, apply_batch

log = structlog.get_logger()
ORGANIZATIONS_MIN = 3
UNEXPLAINED_MAX = 3


async def is_everybodys(pool: Pool, step: str, failing: Collection[str]) -> bool:
    """Whether it is our code that fails at a step, and not the data of these organizations: most of all that are known
    fail, those included that are in quarantine already. Who else has work right now says nothing."""
    [row] = await pool.fetch(SQL["count_others"], step, sorted(failing))
    number: int = len(failing) + row["others"]
    return bool(failing) and number >= ORGANIZATIONS_MIN and number * 2 > row["known"]


@dataclass(frozen=True)
class _Batch:
    pool: Pool
    topics: tuple[str, str]
    reading: Reading
    catalog: Catalog

    async def fails(self, names: Sequence[str]) -> dict[str, str]:
        """Those of these organizations whose usage alone fails, and why. By halves, so that one of many is found in the
        time of some three batches."""
        if not names:
            return {}
        outcome = Outcome()
        try:
            reading = only(self.reading, set(names))
            await apply_batch(self.pool, self.topics, reading, self.catalog, outcome, on_trial=True)
        except OnTrial:
            return {}
        except SumLimit as error:
            self.catalog.limited |= error.organizations
            return await self.fails(names)
        except Exception as error:
            if not is_data_failure(error):
                raise
            if len(names) == 1:
                return {names[0]: f"{outcome.step}: {describe_failure(error)}"}
        half = len(names) // 2
        return await self.fails(names[:half]) | await self.fails(names[half:])


async def count_batch(pool: Pool, topics: tuple[str, str], reading: Reading, catalog: Catalog) -> Outcome:
    """apply_batch; what fails for an organization is set aside for it, and everybody else's usage is counted.

    Raises what fails when it is nobody's data, or that of most organizations.
    """
    failing = {at.organization: f"reading: {describe_failure(at.error)}" for at in reading.failures}
    if failing and await is_everybodys(pool, COUNTING, failing.keys()):
        raise reading.failures[0].error
    unexplained = 0
    while True:
        outcome = Outcome()
        try:
            counted = await apply_batch(pool, topics, reading, catalog, outcome, failing)
        except SumLimit as error:
            catalog.limited |= error.organizations
        except Exception as error:
            if outcome.step == "positions" or not is_data_failure(error):
                raise
            tried = {use.series[0] for use in (*reading.uses, *reading.corrections)} - catalog.aside
            names = sorted(tried - failing.keys())
            found = await _find(_Batch(pool, topics, reading, catalog), names, outcome.step, error)
            failing |= found
            unexplained += not found  # it has passed, or fails only for all together
            if unexplained == UNEXPLAINED_MAX or await is_everybodys(pool, COUNTING, failing.keys()):
                raise
        else:
            for name, reason in failing.items():
                metrics.QUARANTINES.labels("aggregator").inc()
                log.error("organization in quarantine", organization=name, reason=reason)
            return counted


async def _find(batch: _Batch, names: Sequence[str], step: str, error: Exception) -> dict[str, str]:
    if len(names) == 1:
        return {names[0]: f"{step}: {describe_failure(error)}"}
    half = len(names) // 2
    return await batch.fails(names[:half]) | await batch.fails(names[half:])
