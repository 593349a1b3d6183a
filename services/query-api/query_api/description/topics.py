"""The documentation at /docs: both APIs in one description, by topic. Reads the ingest API's description from a file."""

import json
from functools import cache
from typing import Any

from flexcredits_schemas import SCHEMAS

SEND = "Send usage"
TAGS = (
    (SEND, "For product services, with an API key: usage, corrections and catalog events as CloudEvents. This is the ingest API, "
     "which has its own address."),
    ("Usage", "Usage over time, by product, feature, agent and surface."),
    ("People", "Who used what: people, groups, labels and runs, as far as the organization shows them."),
    ("Contracts", "Contracts, credit periods, and how usage reconciles with them."),
    ("Alerts", "Thresholds, monthly budget, recipients, and sent mails."),
    ("Channels", "Webhooks and Slack."),
    ("Connections", "API keys of the organization, and mappings: what events of other programs mean."),
    ("Files", "CSV downloads of usage and, as FOCUS, of costs."),
    ("Proof", "Where an event is counted, and the proof that each event is counted once."),
    ("Session", "Browser sign-in, and the audit log."),
)  # fmt: skip
"""Topics in the order of the page, each with a description."""

TAG_OF = {
    "overview": "Usage", "projection": "Usage", "freshness": "Usage", "breakdown": "Usage", "deleted-agents": "Usage",
    "trend": "Usage", "explain": "Usage", "live": "Usage",
    "usage": "People", "people": "People", "me": "People",
    "credit-periods": "Contracts", "reconcile": "Contracts", "alerts": "Alerts", "banner": "Alerts", "alert-channels": "Channels",
    "api-keys": "Connections", "mappings": "Connections",
    "export": "Files", "proof": "Proof", "receipt": "Proof", "audit": "Session", "session": "Session", "login": "Session",
    "logout": "Session",
}  # fmt: skip
"""Topic by the first path segment after /api/v1."""

SUMMARIES = {
    "get_overview": "Get credits used, available and left",
    "get_projection": "Project when credits run out",
    "get_freshness": "Get how current the numbers are",
    "get_breakdown": "Get usage by feature, agent or namespace",
    "get_deleted_agents": "List the agents behind “Deleted agents”",
    "get_trend": "Get usage over time",
    "get_explanation": "Explain why usage changed",
    "get_runs": "List the dearest runs",
    "get_run": "Get a run with its uses",
    "get_my_usage": "Get your own usage",
    "get_people": "Get usage by person, group or label",
    "get_drivers": "Get the top people of an agent or a feature",
    "reveal_person": "Reveal who an alias is",
    "get_live": "Stream the overview and the banner",
    "get_credit_periods": "List contracts and credit periods",
    "get_reconcile": "Reconcile usage with the contract",
    "get_chargeback": "Divide a reconciliation by person or group",
    "get_alert_settings": "Get budget and alert settings",
    "put_alert_settings": "Save budget and alert settings",
    "preview_alerts": "Preview alerts over past usage",
    "get_test_mails": "List your latest test emails",
    "send_test_mail": "Send yourself a test email",
    "resend_alert": "Resend an alert",
    "get_banner": "Get the current banner",
    "dismiss_banner": "Dismiss the banner",
    "get_alerts": "List alerts",
    "get_alert": "Get an alert with its delivery attempts",
    "get_alert_channels": "List channels",
    "add_alert_channel": "Add a channel",
    "remove_alert_channel": "Remove a channel",
    "test_alert_channel": "Send a test to a channel",
    "get_channel_deliveries": "List a channel's deliveries",
    "get_api_keys": "List API keys",
    "get_mapping": "Get the mapping of a key",
    "put_mapping": "Save the mapping of a key",
    "remove_mapping": "Remove the mapping of a key",
    "get_ready_made_mappings": "List ready-made mappings",
    "try_mapping": "Try a mapping on events",
    "get_usage_file": "Download daily usage (CSV)",
    "get_usage_parquet": "Download daily usage (Parquet)",
    "get_people_parquet": "Download daily usage by person (Parquet)",
    "get_table_parquet": "Download the rows of a breakdown (Parquet)",
    "get_focus_metadata": "Download the metadata of FOCUS 1.4 (JSON)",
    "get_focus_parquet": "Download costs as FOCUS 1.4 (Parquet)",
    "get_people_file": "Download daily usage by person (CSV)",
    "get_table_file": "Download a table (CSV)",
    "get_focus_file": "Download costs as FOCUS (CSV)",
    "get_manifests": "List exported files",
    "get_manifest": "Get the manifest of an exported file",
    "get_manifest_signature": "Get the signature of a manifest",
    "get_past_file": "Download an exported file again",
    "get_changes": "List what has changed since an export",
    "get_export_key": "Get the public key of manifests",
    "get_proof": "Check that every event is counted once",
    "get_receipt": "Find where an event is counted",
    "get_audit": "List audit entries",
    "get_session": "Get the signed-in person",
    "begin_session": "Sign in",
    "finish_session": "Return from the identity provider",
    "end_session": "Sign out",
}
"""Summaries by operation id."""

REFERENCE = "#/components/schemas/"


def tag(description: dict[str, Any]) -> None:
    """Set topic and summary of each operation of the query API. Raises LookupError if a route has none."""
    for path, operations in description["paths"].items():
        segment = path.removeprefix("/api/v1").split("/")[1]
        for operation in operations.values():
            name = operation["operationId"]
            if segment not in TAG_OF or name not in SUMMARIES:
                raise LookupError(f"{path}: add {segment!r} to TAG_OF and {name!r} to SUMMARIES in {__name__}")
            operation["tags"] = [TAG_OF[segment]]
            operation["summary"] = SUMMARIES[name]
    description["tags"] = [{"name": name, "description": words} for name, words in TAGS if name != SEND]


def with_ingest(query: dict[str, Any]) -> dict[str, Any]:
    """Both APIs in one description; only the query API if the ingest API's description is not installed."""
    ingest = read_ingest()
    if ingest is None:
        return query
    server = {
        "url": "{ingest_url}",
        "description": "The ingest API has its own address.",
        "variables": {"ingest_url": {"default": "https://ingest.example"}},
    }
    paths = {}
    for path, operations in ingest["paths"].items():
        for operation in operations.values():
            operation["tags"] = [SEND]
            operation["security"] = operation.get("security", [{"api_key": []}])
        paths[path] = {"servers": [server], **operations}
    components = query["components"]
    return query | {
        "info": query["info"] | {"title": "FlexCredits API"},
        "tags": [{"name": name, "description": words} for name, words in TAGS],
        "paths": paths | query["paths"],
        "components": components
        | {
            "schemas": components["schemas"] | ingest["components"]["schemas"],
            "securitySchemes": components["securitySchemes"] | ingest["components"]["securitySchemes"],
        },
    }


def read_ingest() -> dict[str, Any] | None:
    """The ingest API's description, with a prefix for its schema names, to avoid conflicts."""
    text = _ingest_text()
    if text is None:
        return None
    description: dict[str, Any] = json.loads(text.replace(REFERENCE, REFERENCE + "Ingest"))
    schemas = description["components"]["schemas"]
    description["components"]["schemas"] = {f"Ingest{name}": schema for name, schema in schemas.items()}
    return description


@cache
def _ingest_text() -> str | None:
    """Reads the file from a checkout or from an image."""
    for folder in (SCHEMAS / "http", SCHEMAS / "flexcredits_schemas"):
        if (path := folder / "ingest-api.json").is_file():
            return path.read_text()
    return None
