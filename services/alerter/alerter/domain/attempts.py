"""The result of an attempt to send, and the time of the next attempt. Pure."""

from itertools import accumulate
from typing import NamedTuple

from flexcredits_schemas.alerts import AttemptOutcome


class Attempt(NamedTuple):
    """The result of an attempt to send. `retry_s` applies only to deferred ones."""

    outcome: AttemptOutcome
    detail: str
    retry_s: float = 0.0


RETRY_S = (1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600)
"""Waits between attempts, which grow with an item's age; the last wait repeats. A server's restart and greylisting
delay it by seconds to minutes."""
GIVE_UP_AFTER_S = 72 * 3600.0
DETAIL_CHARACTERS_MAX = 500


def reschedule(detail: str, waited_s: float, at_least_s: float = 0.0) -> Attempt:
    """Deferred, or refused if the item has waited for too long."""
    if waited_s > GIVE_UP_AFTER_S:
        return Attempt("refused", f"given up after {GIVE_UP_AFTER_S / 86400:.0f} days: {detail}")
    return Attempt("deferred", detail, max(at_least_s, next_wait_s(waited_s)))


def next_wait_s(waited_s: float) -> float:
    """The wait after an attempt, for an item that has waited for `waited_s`."""
    return next(
        (wait for wait, until in zip(RETRY_S, accumulate(RETRY_S), strict=True) if waited_s < until), RETRY_S[-1]
    )


def truncate(text: str) -> str:
    """A server's answer on one line, cut to the stored length. Postgres stores neither NUL nor surrogates, which stand
    for bytes that are not UTF-8."""
    return " ".join(text.replace("\0", " ").encode(errors="replace").decode().split())[:DETAIL_CHARACTERS_MAX]
