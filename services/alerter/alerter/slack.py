"""A notice -> a message in Slack. Pure."""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from alerter.words import MICRO, URLS, long_date, whole


def write_message(body: str, dashboard_url: str) -> str:
    """The JSON that an incoming webhook of Slack takes."""
    event = json.loads(body)
    text = describe(event["type"].split(".")[2], event["data"], dashboard_url)
    return json.dumps({"text": text, "unfurl_links": False}, ensure_ascii=False)


def describe(kind: str, data: Mapping[str, Any], dashboard_url: str) -> str:
    name = escape(data["name"])
    if kind == "test":
        return f"*Test*: alerts of {name} reach this channel. <{dashboard_url}/?manage=alerts|Manage alerts>"
    what = "FlexCredits" if data["rule"] == "usage" else f"the {month_of(data)} budget"
    if kind == "fired":
        fact = f":warning: *{data['threshold']} % of {what} used*: {level(data)} ({name})"
    elif data["resolution"] == "level":
        fact = f":white_check_mark: *Under {data['threshold']} % of {what} again*: {level(data)} ({name})"
    else:
        fact = f":white_check_mark: *The alert at {data['threshold']} % of {what} was removed* ({name})"
    return f"{fact}\n{period(data)}. <{dashboard_url}/?{URLS[data['rule']](data)}|Open the dashboard>"


def level(data: Mapping[str, Any]) -> str:
    used, available = (
        None if data[key] is None else whole(int(Decimal(data[key]) * MICRO)) for key in ("used", "available")
    )
    return f"{used} of {available}"


def month_of(data: Mapping[str, Any]) -> str:
    return f"{date.fromisoformat(data['period']['from']):%B %Y}"


def period(data: Mapping[str, Any]) -> str:
    starts_on, ends_on = (date.fromisoformat(data["period"][key]) for key in ("from", "to"))
    return f"{long_date(starts_on)} to {long_date(ends_on - timedelta(days=1))}"


def escape(text: str) -> str:
    """Slack's three: nothing in a name becomes a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
