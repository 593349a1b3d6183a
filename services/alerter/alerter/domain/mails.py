"""A mail of the outbox."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

MessageContext = Mapping[str, Any]
"""The content of a mail, as stored in the column `mail_context`: organization, name, rule, used and available (micro-credits;
used is None in a test without a level), period (contract, id, from, to), elapsed_permille, ended, time_zone, at,
products, drivers; and threshold, or test with all thresholds. Mails of earlier versions lack kind (used or projected),
projection (p10, p50, p90 of the run-out date, or refusal; None: nothing to say) and passed_on (dates of a projected
threshold)."""


class Mail(NamedTuple):
    """A claimed mail to one person. `context` comes from its firing, or is a test's own."""

    email_id: int
    message_id: str
    recipient: str
    is_additional: bool
    created_at: datetime
    attempt: int
    waited_s: float
    """Seconds since the mail was written or requested again."""
    context: MessageContext
    organization_id: int = 0
