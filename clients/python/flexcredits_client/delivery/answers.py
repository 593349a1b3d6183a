"""What the answer to a batch means for its events. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

RETRIED = {408, 425, 429}
REFUSED_KEY = {401, 403}
PROBLEMS = "/problems/"
"""Begins the `type` of each refusal by the service. A refusal without it comes from something between: it says nothing
about the events, and nothing is dropped because of it."""


class Answer(NamedTuple):
    """A response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(NamedTuple):
    """The request failed: the service may or may not have the events."""

    detail: str


class Refusal(NamedTuple):
    """The service's reason for one event of a batch."""

    position: int
    pointer: str
    detail: str


class Resolved(NamedTuple):
    """Every event of the batch is accepted, except the refused ones."""

    refused: list[Refusal]


class Split(NamedTuple):
    """The batch cannot be taken as a whole: send its halves. A single event is refused."""

    detail: str


class Retry(NamedTuple):
    """Send the same bytes again, after `after_s` seconds if the service said so."""

    after_s: float | None
    detail: str
    is_unusual: bool
    """An answer that ingest never gives: the address may be wrong."""


class Stop(NamedTuple):
    """The service refuses the API key."""

    status: int
    detail: str


Verdict = Resolved | Split | Retry | Stop


def read_answer(answer: Answer | NoAnswer, count: int, now: datetime) -> Verdict:
    """The verdict on a batch of `count` events. `now` is needed for a `Retry-After` with a date."""
    if isinstance(answer, NoAnswer):
        return Retry(None, answer.detail, is_unusual=False)
    document = read_json(answer.body)
    detail = f"{answer.status}: {document.get('detail') or answer.body[:200].decode(errors='replace')}"
    refused = refusals(document, count)
    if 200 <= answer.status < 300 and refused is not None and is_receipt(document, len(refused), count):
        return Resolved(refused)
    if str(document.get("type", "")).startswith(PROBLEMS):
        if answer.status in (403, 422) and refused is not None and len(refused) == count:
            return Resolved(refused)  # 403: the key covers none of these events, which says nothing about the next ones
        if answer.status in REFUSED_KEY:
            return Stop(answer.status, f"the API key was refused: {detail}")
        if answer.status in (400, 422):
            return Split(detail)
    if answer.status == 413:  # also of a proxy, whose limit may be lower
        return Split(detail)
    is_usual = answer.status in RETRIED or answer.status >= 500
    return Retry(retry_after(answer.headers.get("retry-after", ""), now), detail, is_unusual=not is_usual)


def read_json(body: bytes) -> Mapping[str, Any]:
    """The object in a body; empty if it is something else, such as a proxy's page."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def refusals(document: Mapping[str, Any], count: int) -> list[Refusal] | None:
    """`rejected` of a receipt or problem; None if it does not name events of this batch."""
    listed = document.get("rejected")
    if not isinstance(listed, list):
        return None
    found: dict[int, Refusal] = {}
    for each in listed:
        position = each.get("index") if isinstance(each, dict) else None
        if type(position) is not int or not 0 <= position < count:
            return None
        found[position] = Refusal(position, str(each.get("pointer", "")), str(each.get("detail", "")))
    return list(found.values()) if len(found) == len(listed) else None


def is_receipt(document: Mapping[str, Any], refused: int, count: int) -> bool:
    """Whether the receipt accounts for every event. A proxy's page, or a receipt for another batch, does not."""
    accepted, duplicates = document.get("accepted"), document.get("duplicates", 0)
    return type(accepted) is int and type(duplicates) is int and accepted + duplicates + refused == count


def retry_after(text: str, now: datetime) -> float | None:
    """Seconds of a `Retry-After` (RFC 9110, 10.2.3): a number, or a date. None if it is neither."""
    if text.strip().isascii() and text.strip().isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())
