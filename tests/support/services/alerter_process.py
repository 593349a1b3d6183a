"""An alerter that runs as a process: the steps at which it stops, and its results."""

import json

from aiokafka import AIOKafkaProducer
from runtime.postgres.pool import Connection
from support.infra.service_process import eventually
from support.services.alerter import Customer, Script, banner

NEVER_S = "100000"
"""Sweep interval: too long to affect the test."""

RECIPIENTS = {"admin@org-acme.example", "billing_moderator@org-acme.example", "super_admin@org-acme.example"}


async def send_totals(producer: AIOKafkaProducer, topic: str, name: str = "org_acme") -> None:
    """Send a totals message as the aggregator's relay does."""
    value = json.dumps({"organization": name, "version": 1, "micro_credits": {}}).encode()
    await producer.send_and_wait(topic, value, key=name.encode())


async def until_notified(owner: Connection, mailbox: Script, number: int, mails: int = 3, within_s: float = 30) -> None:
    async def all_sent() -> bool:
        rows = await owner.fetch("SELECT state FROM email_outbox WHERE organization_id = $1", number)
        return [row["state"] for row in rows] == ["sent"] * mails

    await eventually(all_sent, within_s=within_s, what=f"{mails} mails")


async def until_evaluated(owner: Connection, customer: Customer, threshold: int) -> None:
    async def reached_level() -> bool:
        at = await banner(owner, customer.number)
        return at is not None and at[0] == threshold

    await eventually(reached_level, what=f"the banner at {threshold} %")
