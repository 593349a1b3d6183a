"""A mail's facts -> the words and numbers that its templates print. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

MICRO = 1_000_000
PRODUCT_NAMES = {"assistant": "Assistant", "agents": "Agents", "api": "API"}
BAR_CELLS = 20
EVEN_PACE_PERMILLE = 20
"""Used and elapsed shares that differ by no more than this are in step."""


def describe(facts: Mapping[str, Any], dashboard_url: str) -> dict[str, Any]:
    """Everything that the templates print of the facts."""
    described = {
        "rule": facts["rule"],
        "name": facts["name"],
        "is_test": "test" in facts,
        "manage_url": f"{dashboard_url}/?manage=alerts",
    }
    if facts["used"] is None:
        return described | {"subject": f"Test: alerts reach you ({facts['name']})"}
    described |= describe_level(facts)
    subject, url = SUBJECTS[facts["rule"]](facts, described), URLS[facts["rule"]](facts)
    return described | {
        "subject": f"{'Test: ' if 'test' in facts else ''}{subject} ({facts['name']})",
        "url": f"{dashboard_url}/?{url}",
    }


def describe_level(facts: Mapping[str, Any]) -> dict[str, Any]:
    """How much of what is used, how fast, and by what."""
    used, available = facts["used"], facts["available"]
    starts_on, ends_on = date.fromisoformat(facts["period"]["from"]), date.fromisoformat(facts["period"]["to"])
    at = datetime.fromisoformat(facts["at"])
    met = [percent for percent in thresholds_of(facts) if used * 100 >= available * percent]
    return {
        "month": f"{starts_on:%B %Y}",
        "period": f"{long_date(starts_on)} to {long_date(ends_on - timedelta(days=1))}",
        "ended": facts["ended"],
        "thresholds": percents(thresholds_of(facts)),
        "percent": tenths(used * 1000 // available),
        "used": amount(used),
        "available": amount(available),
        "remaining": amount(max(0, available - used)),
        "overage": amount(used - available) if used > available else None,
        "severity": "over" if used >= available else "met" if met else "quiet",
        "filled": max(0, min(100, used * 100 // available)),
        "bar": "#" * max(0, min(BAR_CELLS, used * BAR_CELLS // available)),
        "bar_cells": BAR_CELLS,
        "elapsed_percent": facts["elapsed_permille"] // 10,
        "elapsed": share_elapsed(facts["elapsed_permille"]),
        "pace": pace(used * 1000 // available, facts["elapsed_permille"]),
        "at": f"{long_date(at)}, {at:%H:%M} ({facts['time_zone']})",
        "day": f"{at.day} {at:%b}",
        "products": [describe_product(product) for product in facts["products"]],
        "drivers": [describe_driver(driver, used) for driver in facts["drivers"]],
    }


def thresholds_of(facts: Mapping[str, Any]) -> Sequence[int]:
    """The one that is met; of a test, all that are set."""
    return facts["test"]["thresholds"] if "test" in facts else [facts["threshold"]]


def usage_subject(facts: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    when = " in a period that has ended" if facts["ended"] else ""
    return f"{leading(facts, described)} % of FlexCredits used{when}: {whole(facts['used'])} of {whole(facts['available'])}"


def budget_subject(facts: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    when = ", counted after its end" if facts["ended"] else ""
    return (
        f"{leading(facts, described)} % of the {described['month']} budget used{when}:"
        f" {whole(facts['used'])} of {whole(facts['available'])}"
    )


SUBJECTS = {"usage": usage_subject, "budget": budget_subject}
URLS = {
    "usage": lambda facts: f"credit_period={quote(facts['period']['id'], safe='')}",
    "budget": lambda facts: f"from={facts['period']['id']}&to={facts['period']['id']}",
}


def leading(facts: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """The number that a subject begins with: the threshold, or in a test how it stands."""
    return described["percent"] if "test" in facts else str(facts["threshold"])


def describe_product(product: Mapping[str, Any]) -> dict[str, Any]:
    used, contracted = product["used"], product["contracted"]
    return {
        "name": PRODUCT_NAMES[product["product"]],
        "used": amount(used),
        "contracted": None if contracted is None else amount(contracted),
        "overage": amount(used - contracted) if contracted is not None and used > contracted else None,
    }


def describe_driver(driver: Mapping[str, Any], used: int) -> dict[str, Any]:
    return {
        "name": driver["name"],
        "product": PRODUCT_NAMES[driver["product"]],
        "credits": amount(driver["credits"]),
        "share": driver["credits"] * 100 // used if used > 0 else 0,
    }


def pace(used_permille: int, elapsed_permille: int) -> str:
    """How usage compares with the time that has passed."""
    if abs(used_permille - elapsed_permille) <= EVEN_PACE_PERMILLE:
        return "in step with an even pace"
    return "ahead of an even pace" if used_permille > elapsed_permille else "below an even pace"


def share_elapsed(permille: int) -> str:
    return f"{permille // 10} %" if permille >= 10 else "Less than 1 %"


def amount(micro_credits: int) -> str:
    """Credits with two decimals, rounded down: nobody is told of more than was used."""
    hundredths = micro_credits * 100 // MICRO
    return f"{hundredths // 100:,}.{hundredths % 100:02}"


def whole(micro_credits: int) -> str:
    return f"{micro_credits // MICRO:,}"


def tenths(permille: int) -> str:
    return f"{permille // 10}.{permille % 10}"


def percents(thresholds: Sequence[int]) -> str:
    return ", ".join(f"{percent} %" for percent in thresholds) or "none, so no alert will come"


def long_date(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
