"""The window of accepted event times. Pure."""

from flexcredits_schemas.codec import InvalidEvent

_DAY_S = 86_400
# Ingest accepts 400 days back and 5 minutes ahead of its own clock. The append time of the broker is a little later,
# and after a slow produce request much later, so the aggregator accepts an hour and a minute more.
PAST_S = 400 * _DAY_S + 3600
AHEAD_S = 5 * 60 + 60


class OutsideWindow(InvalidEvent):
    """A valid event whose time is outside the window: the clock of the sender is wrong, not its code."""


def check_window(occurred_s: float, received_s: float) -> None:
    """Raise OutsideWindow when an event of this time is outside the window of its receipt.

    The ledger keeps identities longer than this, so an accepted copy always meets its first copy.
    """
    if occurred_s < received_s - PAST_S:
        raise OutsideWindow("more than 400 days before its receipt", "/time")
    if occurred_s > received_s + AHEAD_S:
        raise OutsideWindow("more than 5 minutes after its receipt", "/time")
