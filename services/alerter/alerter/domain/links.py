"""Links in mails and messages. No other module knows the dashboard's URLs. Pure."""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote, urlencode

from flexcredits_schemas.credit_periods import credit_period_key

Panel = Literal["alerts", "channels"]


def period_url(dashboard_url: str, about: Mapping[str, Any]) -> str:
    """The link to a firing's credit period or month. `about` is a mail's context or the data of an event."""
    period = about["period"]
    if about["rule"] == "budget":
        return _write(dashboard_url, **{"from": period["id"], "to": period["id"]})
    return _write(dashboard_url, credit_period=credit_period_key(period["contract"], period["id"]))


def explain_url(dashboard_url: str, month: str) -> str:
    """The link to why usage of all products changed from the month before; `month` such as 2026-11."""
    return _write(dashboard_url, **{"from": month, "to": month, "scope": "all", "panel": "explain"})


def panel_url(dashboard_url: str, panel: Panel) -> str:
    """The link to the dashboard's settings of alerts or channels."""
    return _write(dashboard_url, panel=panel)


def _write(dashboard_url: str, **search: str) -> str:
    return f"{dashboard_url}/?{urlencode(search, quote_via=quote, safe='/')}"
