"""Retries quarantined organizations when they are due."""

from runtime.postgres.pool import Pool

from alerter.db.quarantine_queries import retry_deliveries, retry_emails
from alerter.evaluation.evaluator import Evaluator
from alerter.queues.quarantine import UNWRITABLE


async def retry_quarantined(pool: Pool, evaluator: Evaluator) -> None:
    """Retry the organizations and steps that are due. The wait of one that fails again doubles. Mails and deliveries
    that could not be written are made due, and the outboxes send them."""
    quarantine = evaluator.quarantine
    due = await quarantine.claim_due()
    if due["wakeup"]:
        await evaluator.evaluate(due["wakeup"], trigger="retry", history=True)
    if due["evaluate"]:
        await evaluator.evaluate(due["evaluate"], trigger="retry")
    evaluator.unprojected |= dict.fromkeys(due["project"])
    if due["mail"]:
        await retry_emails(pool, due["mail"], UNWRITABLE)
    if due["channel"]:
        await retry_deliveries(pool, due["channel"], UNWRITABLE)
    await quarantine.measure()
