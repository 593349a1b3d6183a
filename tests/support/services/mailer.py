"""Sends one mail through the mailer, without an outbox, for tests of mail servers."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from alerter.domain.attempts import Attempt
from alerter.domain.mails import Mail
from alerter.email.smtp import Mailer
from alerter.settings import Settings

TO = "ada@acme.example"


def settings(port: int, scheme: str, login: str = "", **more: Any) -> Settings:
    given = {
        "kafka_bootstrap": "k:9092", "postgres_dsn": "postgres://x", "probe_port": 1, "mail_from": "flex@flex.example",
        "dashboard_url": "https://flex.example", "smtp_url": f"{scheme}://{login}127.0.0.1:{port}",
    }  # fmt: skip
    return Settings.model_validate(given | more)


def mail_to(recipient: str) -> Mail:
    nothing = {"rule": "usage", "organization": "org_acme", "name": "Acme", "test": {"thresholds": []}, "used": None}
    return Mail(1, "<test.0a@flex.example>", recipient, False, datetime(2026, 11, 22, tzinfo=UTC), 1, 0.0, nothing)


async def attempt(port: int, scheme: str, login: str = "", *, strict: bool = False, to: str = TO, **more: Any) -> Attempt:  # fmt: skip
    """Send a mail as the mailer does when it is due."""
    given = settings(port, scheme, login, **more)
    server = replace(given.mail_server(), strict_certificates=strict)
    no_pool: Any = None
    return await Mailer(no_pool, server, given.mail_config()).send(mail_to(to))
