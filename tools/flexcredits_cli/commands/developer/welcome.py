"""The text that the stack prints when it is ready: addresses, how to send a first event, and the dashboard's address last."""

import shlex
from urllib.parse import urlsplit

from flexcredits_cli.commands.developer.env import ORGANIZATION
from flexcredits_cli.dev_idp.sign_in_page import PEOPLE
from flexcredits_cli.stack.description import Description

FIRST_EVENT = """\
  eval "$(./flexcredits env)"
  cat > /tmp/event.json <<EOF
  {"specversion": "1.0", "id": "first-$(date +%s)", "source": "/products/assistant", "type": "flexcredits.usage.v1",
   "subject": "org_demo", "time": "$(date -u +%FT%TZ)",
   "data": {"product": "assistant", "feature_kind": "tool", "feature": "jira_search", "surface": "web", "credits": "1.25"}}
EOF
  curl -sS "$INGEST_URL/api/v1/events" -H "Authorization: Bearer $INGEST_KEY" \\
    -H "Content-Type: application/cloudevents+json" -d @/tmp/event.json
  curl -sS "$QUERY_URL/api/v1/overview" -H "Authorization: Bearer $QUERY_TOKEN\""""


def welcome(description: Description, *, sample_usage: bool, home: str = "") -> str:
    """Several paragraphs for the terminal. The user can paste its commands into a second terminal unchanged.

    `home` is FLEXCREDITS_HOME; the second terminal needs it too.
    """
    send = "To send an event and see it counted, in a second terminal:"
    if not sample_usage:  # the sample usage creates the organization
        send = f"To send an event, in a second terminal (it is held until {ORGANIZATION} is a known organization):"
    probes = ", ".join(f"{name} {urlsplit(url).port}" for name, url in description.metrics_urls.items())
    return "\n".join(
        [
            "",
            "FlexCredits is ready. Press Ctrl-C to stop it.",
            "",
            send,
            FIRST_EVENT.replace(
                "./flexcredits", f"FLEXCREDITS_HOME={shlex.quote(home)} ./flexcredits" if home else "./flexcredits"
            ),
            "",
            f"API docs    {description.query_url}/docs",
            f"Emails      {description.mailbox or 'sent by the server in SMTP_URL'}",
            f"Kafka       {description.kafka_bootstrap}",
            f"PostgreSQL  {description.postgres_dsn}",
            f"Probes      /metrics and /health/ready on ports: {probes}",
            f"Sign in     no password; as {people()}",
            f"Dashboard   {description.query_url}/",
        ]
    )


def people() -> str:
    """Names and roles that the development sign-in offers."""
    return ", ".join(f"{person.name} ({person.role.replace('_', ' ')})" for person in PEOPLE)
