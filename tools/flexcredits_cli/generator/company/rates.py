"""The rate book, as catalog events, and the expected credits of an event by these rates. Pure."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from flexcredits_schemas.credits import MICRO

from flexcredits_cli.generator.company.events import Event, build_catalog_event, midnight_of
from flexcredits_cli.generator.company.vocabulary import BEGINNING

ANY = "*"


class Rate(NamedTuple):
    """`credits` per `per` units. `organization` None: for every organization."""

    organization: str | None
    product: str
    feature_kind: str
    feature: str
    unit: str
    credits: str
    per: str


# The most specific rates first. History is older than the receipt of every rate, and for such times the first rate event
# that covers them applies (docs/decisions/0005-rates-never-change-what-was-counted.md). For later usage the most specific rate
# applies. In this order both rules give the same rate.
BOOK = (
    Rate("org_orbit", "assistant", "model", ANY, "tokens", "0.8", "1000"),
    *(Rate(None, product, "model", "claude-opus-5", "tokens", "5", "3000") for product in ("assistant", "agents")),
    *(Rate(None, product, "feature", "image_generation", "images", "2.5", "1") for product in ("assistant", "agents")),
    *(Rate(None, product, "feature", "meeting_notes", "minutes", "1", "15") for product in ("assistant", "agents")),
    *(Rate(None, product, "model", ANY, "tokens", "1", "1000") for product in ("assistant", "agents")),
    Rate(None, "api", "namespace", "Search", "requests", "0.07", "1"),
)
_PRICES = {rate[:5]: (Decimal(rate.credits), Decimal(rate.per)) for rate in BOOK}


def build_rates() -> list[Event]:
    """All rates, the same for every run and set of companies: a rate sent later would not apply to earlier usage."""
    events = []
    for rate in BOOK:
        data = {name: value for name, value in rate._asdict().items() if name != "organization"}
        events.append(build_catalog_event("rate", rate.organization, midnight_of(BEGINNING), data))
    return events


def micro_credits(event: Event) -> int:
    """Expected micro-credits of a usage event or correction: rated once, rounded half to even."""
    data = event["data"]
    if "credits" in data:
        return int(Decimal(data["credits"]) * MICRO)
    for organization in (event["subject"], None):
        for feature in (data["feature"], ANY):
            key = (organization, data["product"], data["feature_kind"], feature, data["unit"])
            if key in _PRICES:
                credits, per = _PRICES[key]
                amount = Decimal(data["quantity"]) * credits * MICRO / per
                return int(amount.to_integral_value(ROUND_HALF_EVEN))
    raise ValueError(f"no rate for {data}")
