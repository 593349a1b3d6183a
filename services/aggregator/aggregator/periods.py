"""Which event times are still taken, and which local day a quarter of an hour belongs to. Pure."""

from datetime import UTC, datetime
from functools import lru_cache

from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.zones import zone_of

BUCKET_S = 900
"""A quarter of an hour: every time zone on Earth is a multiple of it."""

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


@lru_cache(maxsize=200_000)
def local_day(bucket: int, time_zone: str) -> int:
    """Day since 1970 of the quarter of an hour that begins `bucket` * 900 s after the epoch, in an IANA zone."""
    instant = datetime.fromtimestamp(bucket * BUCKET_S, UTC).astimezone(zone_of(time_zone))
    return instant.toordinal() - _EPOCH_ORDINAL


_EPOCH_ORDINAL = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
