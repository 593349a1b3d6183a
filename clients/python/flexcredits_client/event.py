"""A usage event, encoded once: its id, its time and its bytes never change, so every retry is a copy."""

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NotRequired, TypedDict

from flexcredits_client.errors import InvalidUsage

Number = Decimal | int | str
"""Exact numbers only: the float 0.1 + 0.2 is not 0.3."""
_LIMIT, _PLACES, _DIGITS_MAX = 10**9, 6, 50
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_OBJECT = (dict, Mapping)  # dict first, because a check against an abstract class takes longer
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "agent": (_OBJECT, "a mapping with id and kind"), "actor": ((str, *_OBJECT), "a text, or a mapping with id"),
    "group": ((str,), "a text"), "run": ((str, *_OBJECT), "a text, or a mapping with id"),
    "labels": (_OBJECT, "a mapping of texts"), "surface": ((str,), "a text"), "time": ((datetime,), "a datetime"),
    "id": ((str,), "a text"),
}  # fmt: skip
"""What each field of Details may be, and in words."""


class AgentFields(TypedDict):
    """The AI agent that used the product. `kind`: saved, unsaved or system."""

    id: str
    kind: str
    name: NotRequired[str]


class ActorFields(TypedDict):
    """The person or service account. `kind`: user (default) or service_account."""

    id: str
    kind: NotRequired[str]


class RunFields(TypedDict):
    """A conversation, workflow run or trace."""

    id: str
    parent_id: NotRequired[str]


class Details(TypedDict, total=False):
    """Optional fields of usage (docs/people.md). `actor` and `run` may be just the id."""

    agent: AgentFields | None
    actor: ActorFields | str | None
    group: str | None
    run: RunFields | str | None
    labels: Mapping[str, str] | None
    surface: str | None
    time: datetime | None
    """When the product was used, with a zone; now by default."""
    id: str | None
    """Unique in `source`; a new UUIDv7 by default. Give an id of your own if your service may repeat a request."""


def check_details(details: Mapping[str, Any]) -> None:
    """Raises TypeError for a name that is no field, and InvalidUsage for a value that no service takes."""
    for name, value in details.items():
        if name not in _KINDS:
            raise TypeError(f"there is no field {name!r}, only {', '.join(_KINDS)}")
        kinds, in_words = _KINDS[name]
        if value is not None and not isinstance(value, kinds):
            raise InvalidUsage(f"{name} must be {in_words}, not {value!r}")
    if details.get("id") == "":
        raise InvalidUsage("id is empty: leave it out for a new one")
    if (moment := details.get("time")) is not None and moment.tzinfo is None:
        raise InvalidUsage("time has no zone: use datetime.now(UTC)")


def check_source(source: str) -> None:
    """Raises ValueError. Without a source the service refuses every event."""
    if not isinstance(source, str) or not source:
        raise ValueError(f"source is the URI reference of your service, such as '/products/assistant', not {source!r}")


def new_id() -> str:
    """A UUIDv7 (RFC 9562, 5.7). os.urandom gives other numbers after a fork, which module `random` would not."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) & ~(0b11 << 62) | 0x7 << 76 | 0b10 << 62
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def encode_event(
    source: str,
    organization: str,
    product: str,
    feature_kind: str,
    feature: str,
    amount: dict[str, Any],
    details: Details,
) -> tuple[str, bytes]:
    """The event's id and its JSON. `amount` is of `amount_of`. Raises InvalidUsage, and TypeError for an unknown detail."""
    check_details(details)
    for name, text in (
        ("organization", organization), ("product", product), ("feature_kind", feature_kind), ("feature", feature),
    ):  # fmt: skip
        if not isinstance(text, str) or not text:
            raise InvalidUsage(f"{name} must be a text, not {text!r}")
    event_id = details.get("id") or new_id()
    data: dict[str, Any] = {"product": product, "feature_kind": feature_kind, "feature": feature}
    for name in ("surface", "agent", "group", "labels"):
        if value := details.get(name):
            data[name] = value
    for name in ("actor", "run"):
        if value := details.get(name):
            data[name] = {"id": value} if isinstance(value, str) else value
    event = {
        "specversion": "1.0", "id": event_id, "source": source, "type": "flexcredits.usage.v1", "subject": organization,
        "time": instant(details.get("time")), "data": data | amount,
    }  # fmt: skip
    try:
        return event_id, _encode(event).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidUsage(f"the event is not JSON: {error}") from None


def instant(moment: datetime | None) -> str:
    """RFC 3339 in UTC; now by default."""
    return f"{(moment or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def amount_of(
    credits: Number | None, quantity: Number | None, unit: str | None, quantities: Mapping[str, Number] | None
) -> dict[str, Any]:
    """The fields of exactly one of: `credits`; `quantity` with `unit`; `quantities`. Raises InvalidUsage."""
    given = [credits is not None, quantity is not None or unit is not None, quantities is not None]
    if sum(given) != 1:
        raise InvalidUsage("give credits, or quantity with unit, or quantities")
    if credits is not None:
        return {"credits": exact(credits, "credits", positive=True)}
    if quantities is not None:
        exact_quantities = {name: exact(number, name) for name, number in quantities.items()}
        if all(number == "0" for number in exact_quantities.values()):
            raise InvalidUsage("quantities has no number above 0")
        return {"quantities": exact_quantities}
    if quantity is None or not unit:
        raise InvalidUsage("quantity needs a unit")
    return {"quantity": exact(quantity, "quantity", positive=True), "unit": unit}


def exact(number: Number, name: str, *, positive: bool = False) -> str:
    """The number as the service takes it: at most 6 decimal places, below 10^9. Raises InvalidUsage."""
    if type(number) is int and positive <= number < _LIMIT:  # tokens, as a rule
        return str(number)
    if isinstance(number, bool) or not isinstance(number, Decimal | int | str):
        raise InvalidUsage(f"{name} must be a Decimal, an int or a text such as '1.25', not {number!r}")
    try:
        value = Decimal(number)
        in_range = 0 <= value < _LIMIT and (value > 0 or not positive)
    except InvalidOperation:  # no number, or NaN
        raise InvalidUsage(f"{name} is no number: {number!r}") from None
    if not in_range:
        raise InvalidUsage(f"{name} must be {'above' if positive else 'at least'} 0 and below 10^9, not {number!r}")
    # Only comparison and formatting: they do not depend on the precision that a program has set for Decimal.
    if value.adjusted() >= -_PLACES and value.as_tuple().exponent >= -_DIGITS_MAX:  # type: ignore[operator]
        text = format(value, "f")
        whole, _, places = text.partition(".")
        places = places.rstrip("0")
        if len(places) <= _PLACES:
            return f"{whole}.{places}" if places else whole
    elif not value:
        return "0"
    raise InvalidUsage(f"{name} has more than {_PLACES} decimal places: {number!r}")
