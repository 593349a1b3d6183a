"""What goes wrong on the way: late, copied, contradicted, corrected and malformed events, each in a known share. Pure."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from random import Random
from typing import Any, NamedTuple

from flexcredits_schemas.credits import decimal_text

from flexcredits_cli.generator.company.events import DAY_MS, Event, build_event, uuid7
from flexcredits_cli.generator.company.rates import micro_credits


class Fate(StrEnum):
    """What a sending is, and so what must become of it."""

    FACT = "facts"
    USAGE = "on time"
    LATE = "late"
    COPY = "copied in the same request"
    COPY_APART = "copied in another request"
    CONFLICT = "contradicted"
    CORRECTION = "corrections"
    MALFORMED = "malformed"


COUNTED = frozenset({Fate.USAGE, Fate.LATE, Fate.CORRECTION})
OWN_REQUEST = frozenset({Fate.COPY_APART, Fate.CONFLICT})
"""These begin a new request: within one, ingest itself would notice them."""

PER_TEN_THOUSAND = {
    Fate.LATE: 150, Fate.COPY: 50, Fate.COPY_APART: 50, Fate.CONFLICT: 20, Fate.CORRECTION: 50, Fate.MALFORMED: 30,
}  # fmt: skip
LATE_MINUTES_MAX = 30 * 1440


class Sending(NamedTuple):
    """An event with the instant at which it reaches ingest, and the one at which it happened.

    `number` orders those of one instant within a stream.
    """

    arrives_ms: int
    number: int
    fate: Fate
    event: Event
    happened_ms: int


_FATES = [fate for fate, share in PER_TEN_THOUSAND.items() for _ in range(share)]


def disturb(chance: Random, event: Event, milliseconds: int, numbers: Iterator[int]) -> Iterator[Sending]:
    """The sendings that a use at `milliseconds` becomes; nearly always one."""
    draw = int(chance.random() * 10_000)
    fate = _FATES[draw] if draw < len(_FATES) else Fate.USAGE
    if fate is Fate.USAGE:
        yield Sending(milliseconds, next(numbers), fate, event, milliseconds)
    elif fate is Fate.LATE:
        minutes = int(LATE_MINUTES_MAX ** chance.random())  # as many take minutes as take days
        yield Sending(milliseconds + minutes * 60_000, next(numbers), fate, event, milliseconds)
    elif fate is Fate.MALFORMED:
        malformation = chance.choice(MALFORMATIONS)
        yield Sending(milliseconds, next(numbers), fate, malformation.spoil(event), milliseconds)
    else:
        yield Sending(milliseconds, next(numbers), Fate.USAGE, event, milliseconds)
        after = milliseconds + (0 if fate is Fate.COPY else int((0.1 + 6 * chance.random()) * DAY_MS))
        if fate is Fate.CONFLICT:
            event = event | {"data": _with_other_amount(event["data"])}
        elif fate is Fate.CORRECTION:
            event = build_correction(event, after, chance.choice((-100, -50, -20, 10)), chance.getrandbits(74))
        yield Sending(after, next(numbers), fate, event, after if fate is Fate.CORRECTION else milliseconds)


def build_correction(original: Event, milliseconds: int, percent: int, entropy: int) -> Event:
    """Adds `percent` of the original's credits at a later time, at least a micro-credit; -100 takes it back whole."""
    micro = micro_credits(original) * abs(percent) // 100
    data = {name: value for name, value in original["data"].items() if name not in ("credits", "quantity", "unit")}
    data["credits"] = decimal_text(max(1, micro) * (1 if percent > 0 else -1))
    data["corrects"] = {"source": original["source"], "id": original["id"]}
    data["reason"] = "billed by mistake" if percent < 0 else "billed too little"
    event_id = uuid7(milliseconds, entropy)
    return build_event("usage.correction", original["subject"], event_id, "/billing/corrections", milliseconds, data)


def _with_other_amount(data: dict[str, Any]) -> dict[str, Any]:
    return data | ({"credits": "9" + data["credits"]} if "credits" in data else {"quantity": "9" + data["quantity"]})


class Malformation(NamedTuple):
    """A way to be wrong; `pointer` is where the decoder must find it."""

    pointer: str
    spoil: Callable[[Event], Event]


def _in_data(**fields: Any) -> Callable[[Event], Event]:
    return lambda event: event | {"data": event["data"] | fields}


def _without(name: str) -> Callable[[Event], Event]:
    return lambda event: event | {"data": {key: value for key, value in event["data"].items() if key != name}}


def _with_amount(**fields: Any) -> Callable[[Event], Event]:
    def spoil(event: Event) -> Event:
        data = {name: value for name, value in event["data"].items() if name not in ("credits", "quantity", "unit")}
        return event | {"data": data | fields}

    return spoil


MALFORMATIONS = (
    Malformation("/data/credits", _with_amount(credits="-1.5")),
    Malformation("/data/credits", _with_amount(credits="0")),
    Malformation("/data/credits", _with_amount(credits="0.1234567")),
    Malformation("/data/credits", _with_amount(credits="1", quantity="1", unit="tokens")),
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
