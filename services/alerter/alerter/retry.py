"""Takes up again whom the alerter has set aside, when the time for it has come."""

from runtime.postgres import Pool

from alerter.evaluation import Evaluator
from alerter.quarantine import UNWRITABLE
from alerter.statements import SQL


async def retry_quarantined(pool: Pool, evaluator: Evaluator) -> None:
    """Retry what is due. What fails again is set aside for longer; mails and deliveries that
    could not be written are made due and sent as always."""
    quarantine = evaluator.quarantine
    due = await quarantine.claim_due()
    if due["wakeup"]:
        await evaluator.look(due["wakeup"], by="retry", history=True)
    if due["evaluate"]:
        await evaluator.look(due["evaluate"], by="retry")
    if due["mail"]:
        await pool.execute(SQL["retry_emails"], due["mail"], UNWRITABLE)
    if due["channel"]:
        await pool.execute(SQL["retry_deliveries"], due["channel"], UNWRITABLE)
    await quarantine.measure()
