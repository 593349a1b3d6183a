"""A firing's facts -> the mail about it. Pure."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

MICRO = 1_000_000
PRODUCT_NAMES = {"assistant": "Assistant", "agents": "Agents", "api": "API"}
BAR_CELLS = 20

_environment = Environment(
    loader=PackageLoader("alerter"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_UNFIT_FOR_HEADERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|=\?")


def write_letter(
    facts: Mapping[str, Any], *, recipient: str, message_id: str, created_at: datetime, sender: str, dashboard_url: str
) -> EmailMessage:
    """The mail to one person; the same bytes for the same arguments. Raises ValueError for what is no address."""
    words = describe(facts, dashboard_url)
    letter = EmailMessage(policy=SMTP)
    letter["From"] = address(sender, "FlexCredits")
    letter["To"] = address(recipient)
    letter["Subject"] = header_text(words["subject"])
    letter["Date"] = format_datetime(created_at)
    letter["Message-ID"] = message_id
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    letter.set_content(_environment.get_template("usage.txt").render(words))
    letter.add_alternative(_environment.get_template("usage.html").render(words), subtype="html")
    # Derived from the identity, so that a copy is a copy byte for byte.
    letter.set_boundary(f"=_{message_id.strip('<>').partition('@')[0]}")
    return letter


def address(text: str, display_name: str = "") -> Address:
    """Always one address, quoted where it must be; beyond ASCII it is a matter for the server (RFC 6531)."""
    username, _, domain = text.rpartition("@")
    if not username or not domain:
        raise ValueError(f"{text!r} is not an address")
    return Address(display_name, username, domain)


def describe(facts: Mapping[str, Any], dashboard_url: str) -> dict[str, Any]:
    """Everything that the templates print."""
    used, available, threshold = facts["used"], facts["available"], facts["threshold"]
    starts_on, last_on = date.fromisoformat(facts["period"]["from"]), date.fromisoformat(facts["period"]["to"])
    last_on -= timedelta(days=1)
    tenths = used * 1000 // available
    when = " in a period that has ended" if facts["ended"] else ""
    return {
        "subject": f"{threshold} % of FlexCredits used{when}: {whole(used)} of {whole(available)} ({facts['name']})",
        "name": facts["name"],
        "threshold": threshold,
        "ended": facts["ended"],
        "percent": f"{tenths // 10}.{tenths % 10}",
        "used": amount(used),
        "available": amount(available),
        "remaining": amount(max(0, available - used)),
        "overage": amount(used - available) if used > available else None,
        "filled": min(100, used * 100 // available),
        "bar": "#" * min(BAR_CELLS, used * BAR_CELLS // available),
        "bar_cells": BAR_CELLS,
        "period": f"{long_date(starts_on)} to {long_date(last_on)}",
        "at": f"{datetime.fromisoformat(facts['at']):%d %B %Y, %H:%M} ({facts['time_zone']})",
        "products": [describe_product(product) for product in facts["products"]],
        "drivers": [
            {
                "name": driver["name"],
                "product": PRODUCT_NAMES[driver["product"]],
                "credits": amount(driver["credits"]),
                "share": driver["credits"] * 100 // used if used > 0 else 0,
            }
            for driver in facts["drivers"]
        ],
        "url": f"{dashboard_url.rstrip('/')}/?credit_period={quote(facts['period']['id'], safe='')}",
    }


def describe_product(product: Mapping[str, Any]) -> dict[str, Any]:
    used, contracted = product["used"], product["contracted"]
    return {
        "name": PRODUCT_NAMES[product["product"]],
        "used": amount(used),
        "contracted": None if contracted is None else amount(contracted),
        "overage": amount(used - contracted) if contracted is not None and used > contracted else None,
    }


def amount(micro_credits: int) -> str:
    """Credits with two decimals, rounded down: nobody is told of more than was used."""
    hundredths = micro_credits * 100 // MICRO
    return f"{hundredths // 100:,}.{hundredths % 100:02}"


def whole(micro_credits: int) -> str:
    return f"{micro_credits // MICRO:,}"


def long_date(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def header_text(text: str) -> str:
    """Text that no mail program can take for another header.

    Control characters end a header; and an encoded word (RFC 2047) that somebody put into a name would be decoded into
    them by this Python's own email package (CPython gh-121650).
    """
    return " ".join(_UNFIT_FOR_HEADERS.sub(" ", text).split())
