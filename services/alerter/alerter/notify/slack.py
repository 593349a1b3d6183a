"""Writes the Slack message for an alert event. Pure."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from flexcredits_schemas.credits import micro_of

from alerter.domain.links import panel_url, period_url
from alerter.email.text import days, level_in_words, long_day, percent_in_words


def write_message(body: str, dashboard_url: str) -> str:
    """The JSON body for a Slack incoming webhook."""
    event = json.loads(body)
    text = describe(event["type"].split(".")[2], event["data"], dashboard_url)
    return json.dumps({"text": text, "unfurl_links": False}, ensure_ascii=False)


def describe(kind: str, data: Mapping[str, Any], dashboard_url: str) -> str:
    """Names are never inside bold text, because an asterisk in a name would end it."""
    name = escape(data["name"])
    if kind == "test":
        link = f"<{panel_url(dashboard_url, 'channels')}|Manage channels>"
        return f":white_check_mark: *Test*: FlexCredits alerts for {name} reach this channel. {link}"
    of = "credits" if data["rule"] == "usage" else f"the {month_of(data)} budget"
    used, available = (read(data[key]) for key in ("used", "available"))
    level = f": {level_in_words(used, available)}" if used is not None else ""
    if data.get("kind") == "projected":
        headline = describe_projected(kind, data, of, level, name)
    elif kind == "fired":
        percent = sentence(percent_in_words(used or 0, available or 0))
        headline = f":warning: *{percent} of {of} used*{level} ({name}, {data['threshold']}% alert)"
    elif data["resolution"] == "level":
        headline = f":white_check_mark: *Back under {data['threshold']}% of {of}*{level} ({name})"
    else:
        headline = f":white_check_mark: *The {data['threshold']}% alert on {of} was removed* ({name})"
    return f"{headline}\n{period(data)} · <{period_url(dashboard_url, data)}|Open dashboard>"


def describe_projected(kind: str, data: Mapping[str, Any], of: str, level: str, name: str) -> str:
    threshold = f"{data['threshold']}% of {of}"
    if kind == "fired":
        day = long_day(date.fromisoformat(data["passed_on"]["p50"]))
        return f":chart_with_upwards_trend: *Projected to pass {threshold} around {day}*{level} ({name})"
    if data["resolution"] == "level":
        return f":white_check_mark: *No longer projected to pass {threshold}*{level} ({name})"
    return f":white_check_mark: *The projected alert on {threshold} was removed* ({name})"


def read(credits: str | None) -> int | None:
    return None if credits is None else micro_of(credits)


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def month_of(data: Mapping[str, Any]) -> str:
    return f"{date.fromisoformat(data['period']['from']):%B %Y}"


def period(data: Mapping[str, Any]) -> str:
    starts_on, ends_on = (date.fromisoformat(data["period"][key]) for key in ("from", "to"))
    return days(starts_on, ends_on)


def escape(text: str) -> str:
    """Escape Slack's three control characters, so that a name cannot contain a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
