"""Contracts. Their amounts are computed from the usage, so that each company has the level that its terms state. Pure."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from flexcredits_schemas.credits import MICRO
from flexcredits_schemas.events import PRODUCTS

from flexcredits_cli.generator.company.cast import Company, Terms
from flexcredits_cli.generator.company.events import Event, build_catalog_event, midnight_of

CONTRACT_MONTHS = 24
APPROACH_CREDITS = 40
"""Contracted credits above the amount that gives the level, rounded down to tens: usage of a few minutes."""
LEAST = 100
"""Credits of each product in a credit period."""
LEVEL_OF_THE_PAST = 90
"""Level in percent of the credit periods before the current one."""
UsedByDay = Mapping[tuple[date, str], int]
"""Counted micro-credits by local day and product."""


class Period(NamedTuple):
    """Half-open dates."""

    begins: date
    ends: date

    @property
    def id(self) -> str:
        return f"{self.begins}"


def add_months(day: date, months: int) -> date:
    """For days of the month up to the 28th."""
    month = day.year * 12 + day.month - 1 + months
    return day.replace(year=month // 12, month=month % 12 + 1)


def current_period(terms: Terms, today: date) -> Period:
    """The credit period with `today` near its middle; for one-month periods, the period that contains `today`."""
    halfway = today - timedelta(days=0 if terms.months == 1 else round(terms.months * 15.2))
    before = halfway.replace(day=terms.begins_on)
    if before > halfway:
        before = add_months(before, -1)
    after = add_months(before, 1)
    begins = after if terms.months > 1 and after - halfway < halfway - before else before
    return Period(begins, add_months(begins, terms.months))


def periods(terms: Terms, today: date) -> list[Period]:
    """The contract's credit periods over two years, of which one year lies before the current period."""
    current = current_period(terms, today)
    first = -(12 // terms.months)
    begins = [
        add_months(current.begins, terms.months * step)
        for step in range(first, first + CONTRACT_MONTHS // terms.months)
    ]
    return [Period(begin, add_months(begin, terms.months)) for begin in begins]


def build_contracts(company: Company, today: date, at: int, used_by_day: UsedByDay) -> Iterator[Event]:
    """The contract's versions, oldest first: one, or two if it was topped up.

    `at` is the time of the version whose amounts are computed from the usage until then. Without usage no contract is sent,
    so a contract that exists already is unchanged.
    """
    terms = company.terms
    if terms is None or not used_by_day:
        return
    if terms.topped_up:
        # The earlier version has the period's first day as its time, long before `at`.
        began = midnight_of(current_period(terms, today).begins)
        yield build_contract(company, terms, today, began, used_by_day, added=0)
    yield build_contract(company, terms, today, at, used_by_day, added=terms.topped_up)


def build_contract(
    company: Company, terms: Terms, today: date, at: int, used_by_day: UsedByDay, *, added: int
) -> Event:
    """One full version. `added`: percent added to the current period's amounts.

    `terms.level` refers to the level after the terms' own top-up and before any later top-up.
    """
    spans, current = periods(terms, today), current_period(terms, today)
    credit_periods = []
    for span in spans:
        used = used_in(span, used_by_day)
        level, extra = LEVEL_OF_THE_PAST, 0
        if span.begins >= current.begins:
            level = terms.level * (100 + terms.topped_up) // 100
            used = used_in(current, used_by_day)
            extra = added if span == current else 0
        credit_periods.append(describe(span, terms, used, level, extra))
    data: dict[str, Any] = {
        "contract_id": company.id.removeprefix("org_"),
        "from": f"{spans[0].begins}",
        "to": f"{spans[-1].ends}",
        "credit_periods": credit_periods,
    }
    for name in ("minimum_commitment", "overage_price", "credit_price", "currency"):
        if getattr(terms, name) is not None:
            data[name] = getattr(terms, name)
    if terms.account_team:
        data["account_team"] = dict(terms.account_team)
    return build_catalog_event("contract", company.id, at, data)


def used_in(span: Period, used_by_day: UsedByDay) -> dict[str, int]:
    used: dict[str, int] = dict.fromkeys(PRODUCTS, 0)
    for (day, product), micro in used_by_day.items():
        if span.begins <= day < span.ends:
            used[product] += micro
    return used


def describe(span: Period, terms: Terms, used: Mapping[str, int], level: int, added: int) -> dict[str, Any]:
    """A credit period's entry, in whole hundreds or tens of credits. Included add-ons are available in addition."""
    period: dict[str, Any] = {"id": span.id, "from": f"{span.begins}", "to": f"{span.ends}"}
    bundled = sum(add_on.credits for add_on in terms.add_ons if add_on.included)
    contracted = sum(used.values()) * 100 // level
    amount = contracted // (10 * MICRO) * 10 + APPROACH_CREDITS if terms.approaching else hundreds(contracted)
    total = max(LEAST * len(PRODUCTS), amount - bundled)
    total += hundreds(total * MICRO * added // 100)
    if terms.amounts:
        sums = total if terms.total is None else hundreds(total * MICRO * 100 // (100 + terms.total))
        period["products"] = {name: f"{amount}" for name, amount in split(sums, terms, used).items()}
    if terms.total is not None:
        period["total"] = f"{total}"
    if terms.add_ons:
        period["add_ons"] = [
            {"name": add_on.name, "credits": f"{add_on.credits}", "included": add_on.included}
            for add_on in terms.add_ons
        ]
    return period


def split(total: int, terms: Terms, used: Mapping[str, int]) -> dict[str, int]:
    """Split `total` credits among the products in proportion to their usage; the overdrawn product gets a tenth less. Each gets
    at least LEAST, and `total` has that much for each."""
    amounts = {}
    most = total - LEAST * (len(terms.amounts) - 1)
    if terms.overdrawn:
        amounts[terms.overdrawn] = min(most, max(LEAST, used[terms.overdrawn] * 9 // 10 // MICRO // 100 * 100))
    rest = total - sum(amounts.values())
    first, *others = (name for name in terms.amounts if name not in amounts)
    weight = sum(used[name] for name in (first, *others))
    for number, name in enumerate(others):
        share = rest * used[name] // weight if weight else rest // (1 + len(others))
        most = total - sum(amounts.values()) - LEAST * (len(others) - number)
        amounts[name] = min(most, max(LEAST, share // 100 * 100))
    amounts[first] = total - sum(amounts.values())
    return {name: amounts[name] for name in terms.amounts}


def hundreds(micro: int) -> int:
    """Micro-credits as credits, to the nearest hundred."""
    return (micro + 50 * MICRO) // (100 * MICRO) * 100


def contracted_micro(contract: Event, period: Period) -> int:
    """Micro-credits that a contract event makes available in one of its periods."""
    (entry,) = (entry for entry in contract["data"]["credit_periods"] if entry["id"] == period.id)
    total = int(entry["total"]) if "total" in entry else sum(map(int, entry["products"].values()))
    included = sum(int(add_on["credits"]) for add_on in entry.get("add_ons", ()) if add_on["included"])
    return (total + included) * MICRO
