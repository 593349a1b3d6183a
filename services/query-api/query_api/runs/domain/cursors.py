"""Positions in lists of runs and uses, as texts that are opaque to clients. Pure."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

from query_api.runs.domain.model import RunRecord, Use

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT64, _INT32 = 2**63, 2**31


class InvalidPosition(Exception):
    """The text is not a position."""


RunPosition = tuple[int, bytes]
"""Credits and key of the last run of a page."""
UsePosition = tuple[datetime, int, bytes]
"""Time, ledger partition and identity of the last use of a page."""

BEFORE_ALL_USES: UsePosition = (_EPOCH, -_INT32, bytes(16))


def write_run_position(row: RunRecord) -> str:
    return _write([row.credits, row.run.hex()])


def read_run_position(text: str) -> RunPosition:
    """Raises InvalidPosition."""
    credits, key = _read(text, [int, str])
    return _number(credits, _INT64), _bytes(key)


def write_use_position(use: Use) -> str:
    return _write([(use.occurred_at - _EPOCH) // _MICROSECOND, use.ledger_bucket, use.identity.hex()])


def read_use_position(text: str) -> UsePosition:
    """Raises InvalidPosition."""
    microseconds, bucket, identity = _read(text, [int, int, str])
    try:
        return _EPOCH + _number(microseconds, _INT64) * _MICROSECOND, _number(bucket, _INT32), _bytes(identity)
    except OverflowError:
        raise InvalidPosition(InvalidPosition.__doc__) from None


def _write(values: list[int | str]) -> str:
    return urlsafe_b64encode(json.dumps(values).encode()).rstrip(b"=").decode()


def _read(text: str, types: list[type]) -> list[int | str]:
    try:
        values: list[int | str] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        # Accept only text that encodes to itself.
        if [type(value) for value in values] == types and _write(values) == text:
            return values
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidPosition(InvalidPosition.__doc__)


def _number(value: int | str, limit: int) -> int:
    if isinstance(value, int) and -limit <= value < limit:
        return value
    raise InvalidPosition(InvalidPosition.__doc__)


def _bytes(value: int | str) -> bytes:
    try:
        if isinstance(value, str) and len(value) == 32:
            return bytes.fromhex(value)
    except ValueError:
        pass
    raise InvalidPosition(InvalidPosition.__doc__)
