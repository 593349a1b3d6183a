"""A mail of the outbox."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Mail(NamedTuple):
    """A mail to one person, claimed to be sent. `facts` are those of its firing, or a test's own."""

    email_id: int
    message_id: str
    recipient: str
    is_additional: bool
    created_at: datetime
    attempt: int
    waited_s: float
    """Since it was written, or asked for again."""
    facts: Mapping[str, Any]
    organization_id: int = 0
