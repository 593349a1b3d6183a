"""The rate book, as catalog events, and the expected credits of an event by these rates. Pure."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from flexcredits_schemas.credits import MICRO

from flexcredits_cli.generator.company.events import Event, build_catalog_event, midnight_of
from flexcredits_cli.generator.company.vocabulary import BEGINNING

ANY = "*"


class Rate(NamedTuple):
    """`credits` per `per` units. `organization` None: for every organization. `part_of`: the unit that includes this unit."""

    organization: str | None
    product: str
    feature_kind: str
    feature: str
    unit: str
    credits: str
    per: str
    part_of: str | None = None


TOKENS = (("input_tokens", None), ("cached_input_tokens", "input_tokens"), ("output_tokens", None))
"""Units of a model call, and the units that include them."""

# The most specific rates first. History is older than the receipt of every rate, and for such times the first rate event
# that covers them applies (docs/decisions/0005-rates-never-change-what-was-counted.md). For later usage the most specific rate
# applies. In this order both rules give the same rate.
BOOK = (
    Rate("org_orbit", "assistant", "model", ANY, "tokens", "0.8", "1000"),
    *(Rate(None, product, "model", "claude-opus-5", "tokens", "5", "3000") for product in ("assistant", "agents")),
    *(Rate(None, product, "feature", "image_generation", "images", "2.5", "1") for product in ("assistant", "agents")),
    *(Rate(None, product, "feature", "meeting_notes", "minutes", "1", "15") for product in ("assistant", "agents")),
    *(Rate(None, product, "model", ANY, "tokens", "1", "1000") for product in ("assistant", "agents")),
    *(
        Rate(None, product, "model", feature, unit, credits, "1000", part_of)
        for feature, prices in (("claude-opus-5", ("1.4", "0.35", "3.5")), (ANY, ("0.8", "0.2", "2")))
        for (unit, part_of), credits in zip(TOKENS, prices, strict=True)
        for product in ("assistant", "agents")
    ),
    Rate(None, "api", "namespace", "Search", "requests", "0.07", "1"),
)
_PRICES = {rate[:5]: rate for rate in BOOK}


def build_rates() -> list[Event]:
    """All rates, the same for every run and set of companies: a rate sent later would not apply to earlier usage."""
    events = []
    for rate in BOOK:
        data = {name: value for name, value in rate._asdict().items() if name != "organization" and value}
        events.append(build_catalog_event("rate", rate.organization, midnight_of(BEGINNING), data))
    return events


def micro_credits(event: Event) -> int:
    """Expected micro-credits of a usage event or correction: rated once, rounded half to even."""
    data = event["data"]
    if "credits" in data:
        return int(Decimal(data["credits"]) * MICRO)
    quantities = data["quantities"] if "quantities" in data else {data["unit"]: data["quantity"]}
    rates = {unit: _rate_of(event, unit) for unit in quantities}
    left = {unit: Decimal(quantity) for unit, quantity in quantities.items()}
    for unit, rate in rates.items():
        if rate.part_of in left:
            left[rate.part_of] -= Decimal(quantities[unit])
    amounts = (left[unit] * Decimal(rate.credits) * MICRO / Decimal(rate.per) for unit, rate in rates.items())
    return int(sum(amounts, Decimal()).to_integral_value(ROUND_HALF_EVEN))


def _rate_of(event: Event, unit: str) -> Rate:
    data = event["data"]
    for organization in (event["subject"], None):
        for feature in (data["feature"], ANY):
            key = (organization, data["product"], data["feature_kind"], feature, unit)
            if key in _PRICES:
                return _PRICES[key]
    raise ValueError(f"no rate for {unit} of {data}")
