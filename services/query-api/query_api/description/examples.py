"""Examples of all responses and parameters for OpenAPI. A test validates them against the schemas."""

import json
from importlib.resources import files
from typing import Any

ANSWERS: dict[str, dict[str, Any]] = json.loads((files("query_api.description") / "examples.json").read_text())
"""Response bodies (200 or 202) by path, or by method and path if they differ. Shortened to one row of each kind."""

BODIES: dict[str, dict[str, Any]] = ANSWERS.pop("bodies")
"""Request bodies of POST or PUT by path."""

PARAMETERS: dict[str, Any] = {
    "product": "agents",
    "view": "agents",
    "from": "2026-09",
    "to": "2026-11",
    "before_from": "2026-06",
    "before_to": "2026-08",
    "people": True,
    "credit_period": "current",
    "range": "all",
    "surface": ["web"],
    "group_by": "surface",
    "categories": "then",
    "by": "group",
    "membership": "then",
    "interval": "day",
    "split": "people",
    "top": 10,
    "hours": 24,
    "bom": True,
    "version": "1.4",
    "dataset": "cost-and-usage",
    "agent": "agt_42",
    "actor": "u-1001",
    "group": "platform",
    "label": "project:apollo",
    "run_id": "conversation-7f3a",
    "cursor": "Wzk4MjUwMDAwMDAsICI2ZjFjMmM1YjhlNGQ0YTBmOWI3YTNjMWQyZTVmNjA3MSJd",
    "limit": 50,
    "before": "AAAAAAAAAAc",
    "after": "Wy05ODI1MDAwMDAwLCAiUSIsICJhZ3RfNDIiLCAiYWdlbnQiLCAiOGYxNGU0NWZjZWVhMTY3YTVhMzZkZWRkNGJlYTI1NDMiXQ",
    "search": "lovelace",
    "source": "/products/agents",
    "id": "0198f6c2-7c1e-7a3b-9d55-3f1f0c2b7a10",
    "last-event-id": "0f5e1c3a9b7d2468ace013579bdf2468",
    "state": "xKq3y1dS0mJf7uWv2LzQeR9tBnPcAoHgIiUuYtVwE5k",
    "code": "SplxlOBeZQQYbYS6WxSbIA",
    "iss": "https://login.example",
    "error": "access_denied",
}
"""Values by parameter name, for parameters without an example."""
