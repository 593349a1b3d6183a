"""One example of every answer and parameter, for the description. A test holds them to the schemas."""

import json
from importlib.resources import files
from typing import Any

ANSWERS: dict[str, dict[str, Any]] = json.loads((files("query_api.description") / "examples.json").read_text())
"""By path: what is answered with 200 or 202, cut to a row of each kind; by method and path where they differ."""

BODIES: dict[str, dict[str, Any]] = ANSWERS.pop("bodies")
"""By path: what is sent with POST or PUT."""

PARAMETERS: dict[str, Any] = {
    "product": "agents",
    "view": "agents",
    "from": "2026-09",
    "to": "2026-11",
    "credit_period": "current",
    "range": "all",
    "surface": ["web"],
    "group_by": "surface",
    "categories": "then",
    "interval": "day",
    "top": 10,
    "hours": 24,
    "bom": True,
    "limit": 50,
    "before": "AAAAAAAAAAc",
    "after": "Wy05ODI1MDAwMDAwLCAiUSIsICJhZ3RfNDIiLCAiYWdlbnQiLCAiOGYxNGU0NWZjZWVhMTY3YTVhMzZkZWRkNGJlYTI1NDMiXQ",
    "source": "/products/agents",
    "id": "0198f6c2-7c1e-7a3b-9d55-3f1f0c2b7a10",
    "last-event-id": "0f5e1c3a9b7d2468ace013579bdf2468",
    "state": "xKq3y1dS0mJf7uWv2LzQeR9tBnPcAoHgIiUuYtVwE5k",
    "code": "SplxlOBeZQQYbYS6WxSbIA",
    "iss": "https://login.example",
    "error": "access_denied",
}
"""By name, for parameters that bring none of their own."""
