"""How an attempt to send ended, and when the next one is due. Pure."""

from itertools import accumulate
from typing import NamedTuple

from flexcredits_schemas.alerts import AttemptOutcome


class Attempt(NamedTuple):
    """How an attempt to send ended. `retry_s` counts only for deferred ones."""

    outcome: AttemptOutcome
    detail: str
    retry_s: float = 0.0


RETRY_S = (1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600)
"""Waits between attempts, by how long something has waited; the last one repeats. A server that was restarted, and
greylisting, cost seconds to minutes."""
GIVE_UP_AFTER_S = 72 * 3600.0
DETAIL_CHARACTERS_MAX = 500


def reschedule(detail: str, waited_s: float, at_least_s: float = 0.0) -> Attempt:
    """Deferred, or refused when it has waited for too long."""
    if waited_s > GIVE_UP_AFTER_S:
        return Attempt("refused", f"given up after {GIVE_UP_AFTER_S / 86400:.0f} days: {detail}")
    return Attempt("deferred", detail, max(at_least_s, next_wait_s(waited_s)))


def next_wait_s(waited_s: float) -> float:
    """The wait after an attempt at something that has waited for so long."""
    return next(
        (wait for wait, until in zip(RETRY_S, accumulate(RETRY_S), strict=True) if waited_s < until), RETRY_S[-1]
    )


def truncate(text: str) -> str:
    """A server's answer on one line, cut to the length that is stored. Postgres takes no NUL and no surrogates, which stand
    for bytes that are not UTF-8."""
    return " ".join(text.replace("\0", " ").encode(errors="replace").decode().split())[:DETAIL_CHARACTERS_MAX]
