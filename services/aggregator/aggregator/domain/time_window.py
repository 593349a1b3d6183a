"""Which event times are still taken. Pure."""

from flexcredits_schemas.codec import InvalidEvent

_DAY_S = 86_400
# Ingest takes 400 days back and 5 minutes ahead of its own clock; the broker's append time comes a little later, and
# after a long produce much later, so the aggregator grants an hour and a minute more.
_PAST_S = 400 * _DAY_S + 3600
_AHEAD_S = 5 * 60 + 60


class OutsideWindow(InvalidEvent):
    """Well-formed, but of a time that is not taken: the sender's clock, not its code."""


def check_window(occurred_s: float, received_s: float) -> None:
    """Raise OutsideWindow when an event of this time is outside the window of its receipt.

    The ledger keeps identities longer than this, so a copy that is still taken always meets its first one.
    """
    if occurred_s < received_s - _PAST_S:
        raise OutsideWindow("more than 400 days before its receipt", "/time")
    if occurred_s > received_s + _AHEAD_S:
        raise OutsideWindow("more than 5 minutes after its receipt", "/time")
