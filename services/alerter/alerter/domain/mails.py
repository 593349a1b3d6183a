"""A mail of the outbox."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

MessageContext = Mapping[str, Any]
"""What a mail says, as the column `facts` has it: organization, name, rule, used and available (micro-credits; used is
None in a test without a level), period (contract, id, from, to), elapsed_permille, ended, time_zone, at, products,
drivers; and threshold, or test with all thresholds."""


class Mail(NamedTuple):
    """A mail to one person, claimed to be sent. `context` is that of its firing, or a test's own."""

    email_id: int
    message_id: str
    recipient: str
    is_additional: bool
    created_at: datetime
    attempt: int
    waited_s: float
    """Since it was written, or asked for again."""
    context: MessageContext
    organization_id: int = 0
