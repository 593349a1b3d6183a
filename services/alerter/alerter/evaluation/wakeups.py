"""Wake-ups: organizations whose settings or catalog data changed."""

from runtime.postgres.pool import Pool

from alerter.db.queries import claim_wakeups
from alerter.evaluation.evaluator import Evaluator

WAKEUPS_MAX = 5000
ALL_ORGANIZATIONS = 0


async def drain_wakeups(pool: Pool, evaluator: Evaluator) -> None:
    """Evaluate the organizations whose settings or catalog data changed. Their rows are deleted in a transaction that
    commits afterwards."""
    async with pool.acquire() as connection, connection.transaction():
        woken = await claim_wakeups(connection, WAKEUPS_MAX)
        if woken:
            all_woken = ALL_ORGANIZATIONS in woken
            await evaluator.evaluate(None if all_woken else sorted(woken), trigger="wakeup", history=not all_woken)
