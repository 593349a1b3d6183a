"""Texts and numbers for the mail templates, from a mail's context, in American English. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from flexcredits_schemas.alerts import is_met
from flexcredits_schemas.credits import amount_text, level_places, level_text, part_text, percent_text, share_text
from flexcredits_schemas.zones import zone_of

from alerter.domain.links import explain_url, panel_url, period_url
from alerter.domain.mails import MessageContext
from alerter.email.outlook import outlook_of, projected_headline

PRODUCT_NAMES = {"assistant": "Assistant", "agents": "Agents", "api": "API"}
BAR_CELLS = 20
EVEN_PACE_PERMILLE = 20
"""Usage is "on pace" if the used and elapsed shares differ by at most this."""


def describe(context: MessageContext, dashboard_url: str) -> dict[str, Any]:
    """All values that the templates print."""
    described = {
        "rule": context["rule"],
        "name": context["name"],
        "is_test": "test" in context,
        "manage_url": panel_url(dashboard_url, "alerts"),
    }
    if context["used"] is None:
        return described | {"subject": f"Test: FlexCredits alerts reach you ({context['name']})"}
    described |= describe_level(context)
    headline = headline_of(context, described)
    numbers = f"{described['used']} of {described['available']}"
    return described | {
        "headline": headline,
        "subject": f"{'Test: ' if 'test' in context else ''}{headline}: {numbers} ({context['name']})",
        "url": period_url(dashboard_url, context),
        "explain_url": explain_url(dashboard_url, latest_month(context)),
    }


def describe_level(context: MessageContext) -> dict[str, Any]:
    """The level in numbers and words: amounts, pace, products, and the features that used most."""
    used, available = context["used"], context["available"]
    starts_on, ends_on = date.fromisoformat(context["period"]["from"]), date.fromisoformat(context["period"]["to"])
    reached = [percent for percent in thresholds_of(context) if is_met(used, available, percent)]
    text, places = level_text(used, available), level_places(used, available)
    # Earlier versions may have stored features that corrections took back among the most used ones.
    drivers = [driver for driver in context["drivers"] if driver["credits"] > 0]
    return {
        "month": f"{starts_on:%B %Y}",
        "period": days(starts_on, ends_on),
        "has_end": ends_on < date.max,
        "ended": context["ended"],
        "thresholds": percents(thresholds_of(context)) + (" (projected)" if "passed_on" in context else ""),
        "outlook": outlook_of(context),
        "percent": percent_in_words(used, available),
        "used": text.used,
        "available": text.available,
        "remaining": text.left,
        "overage": text.over,
        "severity": "over" if used >= available else "met" if reached else "quiet",
        "filled": max(0, min(100, used * 100 // available)),
        "bar": "#" * max(0, min(BAR_CELLS, used * BAR_CELLS // available)),
        "bar_cells": BAR_CELLS,
        "elapsed_percent": context["elapsed_permille"] // 10,
        "elapsed": share_elapsed(context["elapsed_permille"]),
        "pace": pace(used * 1000 // available, context["elapsed_permille"]),
        "at": moment(datetime.fromisoformat(context["at"]), context["time_zone"]),
        "day": short_day(datetime.fromisoformat(context["at"])),
        "products": [describe_product(product, places) for product in context["products"]],
        "drivers": [describe_driver(driver, used, places) for driver in drivers],
    }


def latest_month(context: MessageContext) -> str:
    """The month of the mail, or the last one of a period that has ended: 2026-11."""
    if context["ended"]:
        return f"{date.fromisoformat(context['period']['to']) - timedelta(days=1):%Y-%m}"
    return f"{datetime.fromisoformat(context['at']).astimezone(zone_of(context['time_zone'])):%Y-%m}"


def thresholds_of(context: MessageContext) -> Sequence[int]:
    """The met threshold; for a test, all thresholds."""
    return context["test"]["thresholds"] if "test" in context else [context["threshold"]]


def headline_of(context: MessageContext, described: Mapping[str, Any]) -> str:
    """The mail's heading and the beginning of its subject."""
    if "passed_on" in context:
        return projected_headline(context)
    percent = described["percent"]
    if context["rule"] == "budget":
        budget = f"{percent} of your {described['month']} budget"
        return f"You used {budget}, including late usage" if context["ended"] else f"You've used {budget}"
    if context["ended"]:
        return f"You used {percent} of your credits in a credit period that has ended"
    return f"You've used {percent} of your credits"


def describe_product(product: Mapping[str, Any], places: int) -> dict[str, Any]:
    used, contracted = product["used"], product["contracted"]
    name = PRODUCT_NAMES[product["product"]]
    if contracted is None:
        return {"name": name, "used": part_text(used, places), "contracted": None, "overage": None}
    text = level_text(used, contracted)
    return {"name": name, "used": text.used, "contracted": text.available, "overage": text.over}


def describe_driver(driver: Mapping[str, Any], used: int, places: int) -> dict[str, Any]:
    """The share is of all usage. It is None if corrections of other features made all usage smaller than this
    feature's."""
    credits = driver["credits"]
    return {
        "name": driver["name"],
        "product": PRODUCT_NAMES[driver["product"]],
        "credits": part_text(credits, places),
        "share": share_text(credits, used) if credits <= used else None,
    }


def pace(used_permille: int, elapsed_permille: int) -> str:
    """Compares usage with the elapsed time."""
    if abs(used_permille - elapsed_permille) <= EVEN_PACE_PERMILLE:
        return "on pace"
    return "ahead of pace" if used_permille > elapsed_permille else "below pace"


def share_elapsed(permille: int) -> str:
    return f"{permille // 10}%" if permille >= 10 else "Less than 1%"


def percent_in_words(used: int, available: int) -> str:
    """A percentage for a sentence: 92.4%, 90%, less than 0.1%."""
    percent = percent_text(used, available) or ""
    if percent == ">-0.1%":
        return "0%"
    words = {"<0": "less than 0", ">9": "more than 9"}
    return (words[percent[:2]] + percent[2:] if percent[:2] in words else percent).replace(".0%", "%")


def level_in_words(used: int | None, available: int | None) -> str:
    """36,012 of 40,000; without available credits, only the used amount."""
    if used is None:
        return ""
    if not available:
        return f"{amount_text(used)} used, none available"
    text = level_text(used, available)
    return f"{text.used} of {text.available}"


def percents(thresholds: Sequence[int]) -> str:
    return ", ".join(f"{percent}%" for percent in thresholds) or "None, so no alert will be sent"


def days(starts_on: date, ends_on: date) -> str:
    """First and last day of a half-open range."""
    if ends_on == date.max:  # no known end
        return f"since {long_day(starts_on)}"
    return f"{long_day(starts_on)} – {long_day(ends_on - timedelta(days=1))}"


def long_day(day: date) -> str:
    return f"{day:%b} {day.day}, {day.year}"


def short_day(day: date) -> str:
    return f"{day:%b} {day.day}"


def moment(at: datetime, time_zone: str) -> str:
    """Nov 22, 2026, 11:15 CET, or GMT+5:45 for zones without an abbreviation."""
    local = at.astimezone(zone_of(time_zone))
    name = local.tzname() or "UTC"
    if name[0] in "+-":
        hours, minutes = divmod(int(name[1:3]) * 60 + int(name[3:5] or 0), 60)
        name = f"GMT{name[0]}{hours}{f':{minutes:02}' if minutes else ''}"
    return f"{long_day(local)}, {local:%H:%M} {name}"
