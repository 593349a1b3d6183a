"""What the stack says when it is ready: where everything is, and how to send and see a first event."""

import json
import shlex
from datetime import UTC, datetime

from flexcredits_local.description import Description
from flexcredits_local.folders import StateFolder
from flexcredits_local.sign_in_page import PEOPLE
from flexcredits_local.tokens import Role, key_path, load_key, mint_token

ORGANIZATION = "org_demo"
EMAIL = "ada@demo.example"


def welcome(description: Description, folder: StateFolder, *, sample_usage: bool) -> str:
    """Several paragraphs for the terminal; the commands in it can be pasted and run as they are."""
    # Only the demo makes the organization known; before that its events are held, not counted.
    counted = "See it counted" if sample_usage else f"See it counted, once {ORGANIZATION} is a known organization"
    key = load_key(key_path(folder))
    token = mint_token(key, description.issuer_url, ORGANIZATION, Role.SUPER_ADMIN, EMAIL)
    urls = [
        f"  {name:<10}  {description.health_urls[name]}  {description.metrics_urls[name]}"
        for name in description.health_urls
    ]
    return "\n".join(
        [
            "",
            "FlexCredits is ready. Ctrl-C stops everything.",
            "",
            f"Dashboard   {description.query_url}/",
            f"            sign in, without a password, as {people()}",
            f"API docs    {description.query_url}/docs",
            f"Mailbox     {description.mailbox or 'the mail server that SMTP_URL names'}",
            f"Kafka       {description.kafka_bootstrap}",
            f"PostgreSQL  {description.postgres_dsn}",
            "",
            "Health and metrics",
            *urls,
            "",
            "Send an event",
            first_event(description),
            "",
            counted,
            see_it_counted(description, token),
            "",
        ]
    )


def people() -> str:
    """Those whom the development issuer's page offers."""
    return ", ".join(f"{person.name} ({person.role.replace('_', ' ')})" for person in PEOPLE)


def first_event(description: Description) -> str:
    now = datetime.now(UTC)
    event = {
        "specversion": "1.0",
        "id": f"first-{now:%Y%m%dT%H%M%S}",
        "source": "/products/assistant",
        "type": "flexcredits.usage.v1",
        "subject": ORGANIZATION,
        "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "product": "assistant",
            "feature_kind": "tool",
            "feature": "jira_search",
            "surface": "web",
            "credits": "1.250000",
        },
    }
    return shell_lines(
        ["curl", "-sS", f"{description.ingest_url}/api/v1/events"],
        ["-H", f"Authorization: Bearer {description.ingest_key}"],
        ["-H", "Content-Type: application/cloudevents+json"],
        ["-d", json.dumps(event, separators=(",", ":"))],
    )


def see_it_counted(description: Description, token: str) -> str:
    return shell_lines(
        ["curl", "-sS", f"{description.query_url}/api/v1/overview"], ["-H", f"Authorization: Bearer {token}"]
    )


def shell_lines(*parts: list[str]) -> str:
    """One command over several lines."""
    return " \\\n    ".join(shlex.join(part) for part in parts)
