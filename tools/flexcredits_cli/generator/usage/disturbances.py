"""Disturbances: late, copied, conflicting, corrected and malformed events, each with a known share. Pure."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from random import Random
from typing import Any, NamedTuple

from flexcredits_schemas.credits import decimal_text

from flexcredits_cli.generator.company.events import DAY_MS, Event, build_event, uuid7
from flexcredits_cli.generator.company.rates import micro_credits


class Kind(StrEnum):
    """Kind of a sending; it determines the expected disposition. The values appear in reports."""

    CATALOG = "catalog events"
    USAGE = "on time"
    LATE = "late"
    COPY = "copied in the same request"
    COPY_APART = "copied in another request"
    CONFLICT = "contradicted"
    CORRECTION = "corrections"
    MALFORMED = "malformed"


COUNTED = frozenset({Kind.USAGE, Kind.LATE, Kind.CORRECTION})
OWN_REQUEST = frozenset({Kind.COPY_APART, Kind.CONFLICT})
"""Kinds that begin a new request: ingest itself detects copies within a request."""

PER_TEN_THOUSAND = {
    Kind.LATE: 150, Kind.COPY: 50, Kind.COPY_APART: 50, Kind.CONFLICT: 20, Kind.CORRECTION: 50, Kind.MALFORMED: 30,
}  # fmt: skip
LATE_MINUTES_MAX = 30 * 1440
AMOUNT = ("credits", "quantity", "unit", "quantities")
DIMENSIONS = ("product", "feature_kind", "feature", "surface", "agent")


class Sending(NamedTuple):
    """An event with the instant at which it reaches ingest, and the one at which it happened.

    `number` orders sendings of the same instant within a stream.
    """

    arrives_ms: int
    number: int
    kind: Kind
    event: Event
    happened_ms: int


_KINDS = [kind for kind, share in PER_TEN_THOUSAND.items() for _ in range(share)]


def disturb(chance: Random, event: Event, milliseconds: int, numbers: Iterator[int]) -> Iterator[Sending]:
    """The sendings for a usage event at `milliseconds`; nearly always one."""
    draw = int(chance.random() * 10_000)
    kind = _KINDS[draw] if draw < len(_KINDS) else Kind.USAGE
    if kind is Kind.USAGE:
        yield Sending(milliseconds, next(numbers), kind, event, milliseconds)
    elif kind is Kind.LATE:
        minutes = int(LATE_MINUTES_MAX ** chance.random())  # log-uniform: delays of minutes are as frequent as of days
        yield Sending(milliseconds + minutes * 60_000, next(numbers), kind, event, milliseconds)
    elif kind is Kind.MALFORMED:
        malformation = chance.choice(MALFORMATIONS)
        yield Sending(milliseconds, next(numbers), kind, malformation.spoil(event), milliseconds)
    else:
        yield Sending(milliseconds, next(numbers), Kind.USAGE, event, milliseconds)
        after = milliseconds + (0 if kind is Kind.COPY else int((0.1 + 6 * chance.random()) * DAY_MS))
        if kind is Kind.CONFLICT:
            event = event | {"data": _with_other_amount(event["data"])}
        elif kind is Kind.CORRECTION:
            event = build_correction(event, after, chance.choice((-100, -50, -20, 10)), chance.getrandbits(74))
        yield Sending(after, next(numbers), kind, event, after if kind is Kind.CORRECTION else milliseconds)


def build_correction(original: Event, milliseconds: int, percent: int, entropy: int) -> Event:
    """A correction by `percent` of the original's credits, at least a micro-credit; -100 takes all of them back."""
    micro = micro_credits(original) * abs(percent) // 100
    data = {name: value for name, value in original["data"].items() if name in DIMENSIONS}
    data["credits"] = decimal_text(max(1, micro) * (1 if percent > 0 else -1))
    data["corrects"] = {"source": original["source"], "id": original["id"]}
    data["reason"] = "billed by mistake" if percent < 0 else "billed too little"
    event_id = uuid7(milliseconds, entropy)
    return build_event("usage.correction", original["subject"], event_id, "/billing/corrections", milliseconds, data)


def _with_other_amount(data: dict[str, Any]) -> dict[str, Any]:
    if "quantities" in data:
        quantities = data["quantities"]
        return data | {"quantities": quantities | {"input_tokens": "9" + quantities["input_tokens"]}}
    return data | ({"credits": "9" + data["credits"]} if "credits" in data else {"quantity": "9" + data["quantity"]})


class Malformation(NamedTuple):
    """A way to make an event invalid. `pointer`: the JSON Pointer that the decoder must report."""

    pointer: str
    spoil: Callable[[Event], Event]


def _in_data(**fields: Any) -> Callable[[Event], Event]:
    return lambda event: event | {"data": event["data"] | fields}


def _without(name: str) -> Callable[[Event], Event]:
    return lambda event: event | {"data": {key: value for key, value in event["data"].items() if key != name}}


def _with_amount(**fields: Any) -> Callable[[Event], Event]:
    def spoil(event: Event) -> Event:
        data = {name: value for name, value in event["data"].items() if name not in AMOUNT}
        return event | {"data": data | fields}

    return spoil


MALFORMATIONS = (
    Malformation("/data/credits", _with_amount(credits="-1.5")),
    Malformation("/data/credits", _with_amount(credits="0")),
    Malformation("/data/credits", _with_amount(credits="0.1234567")),
    Malformation("/data/credits", _with_amount(credits="1", quantity="1", unit="tokens")),
    Malformation("/data/quantities", _with_amount(quantities={"input_tokens": "0"})),
    Malformation("/data/unit", _with_amount(quantity="12")),
    Malformation("/data", _with_amount()),
    Malformation("/data/product", _without("product")),
    Malformation("/data/product", _in_data(product="assistent")),
    Malformation("/data/feature", _in_data(feature=17)),
    Malformation("/data/feature", _in_data(feature="jira\x00search")),
    Malformation("/data/featur", _in_data(featur="jira_search")),
    Malformation("/time", lambda event: event | {"time": "yesterday"}),
    Malformation("/type", lambda event: event | {"type": "flexcredits.usage.v0"}),
    Malformation("/specversion", lambda event: event | {"specversion": "0.3"}),
)
