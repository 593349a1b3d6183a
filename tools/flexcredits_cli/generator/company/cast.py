"""The companies: a few hand-written ones, and any number of generated ones. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from flexcredits_schemas.events import PRODUCTS, PeopleMode, Role

from flexcredits_cli.generator.company.events import Event, build_catalog_event, entropy_of, midnight_of
from flexcredits_cli.generator.company.vocabulary import BEGINNING, LABEL_KEYS


class AddOn(NamedTuple):
    name: str
    credits: int
    included: bool


@dataclass(frozen=True)
class Terms:
    """A contract's terms. contracts.py computes its amounts from the usage.

    `level`: percent of the current credit period's credits that are used when live usage begins. `overdrawn`: the product
    that exceeds its own amount. `approaching`: live usage reaches the level after a few more credits. `topped_up`: percent
    added to the contract in the middle of the period. `amounts`: the products that have an amount. `total`: the contract has
    an explicit total, this many percent above the sum of its products.
    """

    begins_on: int = 1
    months: int = 12
    level: int = 60
    amounts: tuple[str, ...] = PRODUCTS
    overdrawn: str | None = None
    approaching: bool = False
    total: int | None = None
    topped_up: int = 0
    add_ons: tuple[AddOn, ...] = ()
    minimum_commitment: str | None = None
    overage_price: str | None = None
    credit_price: str | None = None
    currency: str | None = None
    account_team: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Company:
    """An organization. `per_day`: events on a Monday at the beginning of 2026. `series`: approximate number of its series.

    `people`: approximate number of people in 13 months; 0: its usage names none. `people_mode`: how views show them.
    """

    id: str
    name: str
    time_zone: str
    terms: Terms | None
    per_day: float = 10
    series: int = 80
    billing_moderator_enabled: bool = False
    locale: str = "en-US"
    agents: int = 6
    people: int = 0
    people_mode: PeopleMode = "named"

    @property
    def domain(self) -> str:
        return f"{self.id.removeprefix('org_').replace('_', '-')}.example"


DEMO = Company(
    "org_demo", "Demo Company", "Europe/Berlin",
    Terms(15, 6, 90, overdrawn="api", approaching=True, add_ons=(AddOn("Priority support bundle", 2500, False),),
          minimum_commitment="20000", overage_price="0.045", credit_price="0.04", currency="EUR",
          account_team=(("name", "Grace Hopper"), ("email", "grace@flexcredits.example"),
                        ("url", "https://flexcredits.example/account-team"))),
    per_day=130, series=220, billing_moderator_enabled=True, agents=10, people=2000,
)  # fmt: skip
ORBIT = Company(
    "org_orbit", "Orbit Robotics", "America/New_York",
    Terms(1, 12, 104, minimum_commitment="10000", overage_price="0.06", credit_price="0.05", currency="USD"),
    per_day=40, people=90, people_mode="pseudonymous",
)  # fmt: skip
LUMEN = Company("org_lumen", "Lumen Studio", "America/St_Johns", None)
HIMAL = Company(
    "org_himal", "Himal Trek", "Asia/Kathmandu", Terms(1, 3, 70, amounts=(), total=0, topped_up=25),
    people=36, people_mode="groups_only",
)  # fmt: skip
TIDAL = Company("org_tidal", "Tidal Freight", "Australia/Lord_Howe", Terms(15, 12, 50, ("assistant", "agents")))
KAURI = Company(
    "org_kauri", "Kauri Health", "Pacific/Auckland",
    Terms(15, 1, 40, add_ons=(AddOn("Deep Research bundle", 500, True), AddOn("Training credits", 300, False)),
          credit_price="0.07", currency="NZD"),
    billing_moderator_enabled=True, locale="en-NZ",
)  # fmt: skip
PLAIN = Company("org_plain", "Plain Logistics", "UTC", Terms(1, 1, 55, total=20))
HAND_WRITTEN = (DEMO, ORBIT, LUMEN, HIMAL, TIDAL, KAURI, PLAIN)

_ZONES = (
    "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe",
    "Pacific/Auckland", "UTC", "Asia/Tokyo", "America/Sao_Paulo", "Europe/London",
)  # fmt: skip
_TERMS = (Terms(), Terms(15, 3, 45), Terms(1, 1, 50), Terms(15, 6, 75, total=10), Terms(1, 3, 65, amounts=(), total=0))
_FIRST_WORDS = ("North", "Blue", "Quiet", "Silver", "Open", "Bright", "Stone", "Green", "River", "High")
_SECOND_WORDS = ("Harbor", "Foundry", "Analytics", "Kitchen", "Bank", "Garden", "Motors", "Press", "Systems", "Labs")


def companies(number: int) -> Iterator[Company]:
    """`number` generated companies without people, the same in every run. The first ones copy the terms of the hand-written
    ones, under ids of their own: generated load never uses the demo's organizations."""
    for position in range(number):
        words = f"{_FIRST_WORDS[position % 10]} {_SECOND_WORDS[position // 10 % 10]}"
        name = words if position < 100 else f"{words} {position // 100 + 1}"
        if position < len(HAND_WRITTEN):
            yield replace(HAND_WRITTEN[position], id=f"org_sim_{position:04}", name=name, people=0, people_mode="named")
            continue
        terms = _TERMS[position % len(_TERMS)]
        entropy = entropy_of("company", position)
        yield Company(
            f"org_sim_{position:04}", name, _ZONES[position % len(_ZONES)], terms,
            per_day=2 + entropy % 8, series=40, billing_moderator_enabled=entropy % 3 == 0, agents=4,
        )  # fmt: skip


MEMBERS: tuple[tuple[str, Role], ...] = (
    ("Ada", "super_admin"), ("Ben", "admin"), ("Chi", "billing_moderator"), ("Dev", "member"), ("Eva", "admin"),
)  # fmt: skip
FORMER = "Eva"


def build_members(company: Company) -> Iterator[Event]:
    """The organization and a member for every role; one member was removed."""
    since = midnight_of(BEGINNING)
    organization: dict[str, Any] = {
        "name": company.name, "time_zone": company.time_zone,
        "billing_moderator_enabled": company.billing_moderator_enabled, "locale": company.locale,
    }  # fmt: skip
    if company.people:
        organization |= {"label_keys": list(LABEL_KEYS), "people": company.people_mode}
    yield build_catalog_event("organization", company.id, since, organization)
    for name, role in MEMBERS:
        person = {"email": f"{name.lower()}@{company.domain}", "name": name, "role": role}
        yield build_catalog_event("member", company.id, since, person)
        if name == FORMER:
            yield build_catalog_event(
                "member", company.id, midnight_of(BEGINNING.replace(month=6)), person | {"removed": True}
            )
