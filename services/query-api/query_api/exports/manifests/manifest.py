"""The manifest of a file: what is in it, as of when, and by which rules. Its bytes are stored, and signed."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from flexcredits_schemas.credits import decimal_text
from flexcredits_schemas.events import PeopleMode

from query_api.calendar import Days
from query_api.contracts.domain.periods import Contract, CreditPeriod, pricing_contract
from query_api.contracts.domain.prices import prices_of
from query_api.exports.domain.focus import each_day
from query_api.exports.domain.labels import ONE_DAY
from query_api.http.answers import write_instant

Dataset = Literal["usage", "table", "people", "focus"]
NO_WORTH: "Worth" = (None, None)
Worth = tuple[str | None, int | None]
"""Currency, and the price of a credit in millionths of it."""


class Asked(NamedTuple):
    """The request for a file."""

    dataset: Dataset
    days: Days
    parameters: Mapping[str, Any]
    """By name, as the API takes them, with defaults."""

    @property
    def is_by_people(self) -> bool:
        return self.dataset == "people" or self.parameters.get("split") == "people"


class Filters(NamedTuple):
    """Which usage is in the file; None: all."""

    product: str | None
    view: str | None
    surface: Sequence[str] | None


class Rules(NamedTuple):
    """Versions of what the file follows from, in the snapshot of the file."""

    zone_release: str | None
    rates: int
    features: int
    contracts: int
    contracts_offset: int | None


class State(NamedTuple):
    """Read in the snapshot of the file."""

    offsets: Mapping[int, int]
    complete_to: datetime | None
    rules: Rules
    worth: Sequence[tuple[Days, Worth]]
    people_version: Sequence[int]
    """The newest event of an actor, and the newest one that was applied late."""


class Made(NamedTuple):
    """The file itself. None: it has no such sum."""

    lines: int
    credits: int | None
    events: int | None
    bytes: int
    sha256: str


def worth_of_days(
    contracts: Sequence[Contract], periods: Sequence[CreditPeriod], days: Days
) -> list[tuple[Days, Worth]]:
    """The price of a credit on each of the days as known now, in ranges of equal ones; days without a price are left out."""
    prices = {contract.contract_id: prices_of(contract) for contract in contracts}
    found: list[tuple[Days, Worth]] = []
    for day in each_day(days):
        contract = pricing_contract(contracts, periods, day)
        price = prices[contract.contract_id].price_on(day) if contract else None
        if price is None or price.credit is None:
            continue
        worth = (price.currency, price.credit)
        if found and found[-1][0].last + ONE_DAY == day and found[-1][1] == worth:
            found[-1] = (Days(found[-1][0].first, day), worth)
        else:
            found.append((Days(day, day), worth))
    return found


class About(NamedTuple):
    """What is known of a file before it is made."""

    export_id: str
    organization: str
    file: str
    form: Literal["csv", "parquet"]
    byte_order_mark: bool
    made_at: datetime
    asked: Asked
    time_zone: str | None
    people: PeopleMode | None
    """What the organization shows of people, in a file by people."""
    program: str
    topic: str
    state: State

    def write(self, made: Made) -> str:
        state, rules, asked = self.state, self.state.rules, self.asked
        return _json(
            {
                "id": self.export_id,
                "organization": self.organization,
                "dataset": asked.dataset,
                "format": self.form,
                "byte_order_mark": self.byte_order_mark,
                "file": self.file,
                "made_at": write_instant(self.made_at),
                "days": {"from": asked.days.first.isoformat(), "to": asked.days.last.isoformat()},
                "time_zone": self.time_zone,
                "filters": {name: asked.parameters.get(name) for name in Filters._fields},
                "parameters": asked.parameters,
                "people": self.people,
                "watermark": {
                    "topic": self.topic,
                    "next_offsets": {str(partition): state.offsets[partition] for partition in sorted(state.offsets)},
                    "complete_to": None if state.complete_to is None else write_instant(state.complete_to),
                },
                "rules": {
                    "time_zones": rules.zone_release,
                    "rates": rules.rates,
                    "features": rules.features,
                    "contracts": rules.contracts,
                    "contracts_offset": rules.contracts_offset,
                    "program": self.program,
                },
                "prices": [
                    {
                        "from": days.first.isoformat(),
                        "to": days.last.isoformat(),
                        "currency": currency,
                        "credit": None if price is None else decimal_text(price),
                    }
                    for days, (currency, price) in state.worth
                ],
                "lines": made.lines,
                "credits": None if made.credits is None else decimal_text(made.credits),
                "events": made.events,
                "bytes": made.bytes,
                "sha256": made.sha256,
            }
        )


class Manifest(NamedTuple):
    """A manifest that was stored."""

    text: str
    body: Mapping[str, Any]

    @property
    def days(self) -> Days:
        return Days(*(date.fromisoformat(self.body["days"][end]) for end in ("from", "to")))

    @property
    def filters(self) -> Filters:
        return Filters(**self.body["filters"])

    @property
    def credits(self) -> int | None:
        return None if self.body["credits"] is None else _millionths(self.body["credits"])

    @property
    def worth(self) -> list[tuple[Days, Worth]]:
        return [
            (
                Days(date.fromisoformat(each["from"]), date.fromisoformat(each["to"])),
                (each["currency"], _millionths(each["credit"])),
            )
            for each in self.body["prices"]
        ]


def read_manifest(text: str) -> Manifest:
    return Manifest(text, json.loads(text))


def _millionths(text: str) -> int:
    return int(text.replace(".", ""))  # decimal_text writes six places


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"
