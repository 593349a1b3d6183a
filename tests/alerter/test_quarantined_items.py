"""If one organization's mail, message or request fails, the others' are sent, and it is retried in portions."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from alerter.db.email_queries import claim_mails, record_mail_result
from alerter.db.statements import SQL
from alerter.domain.attempts import Attempt
from alerter.email.message import MailConfig
from alerter.email.smtp import Mailer, MailServer
from alerter.evaluation.requests import answer_requests
from alerter.evaluation.retry import retry_quarantined
from alerter.notify.public_http import open_public_http
from alerter.notify.webhooks import Deliverer
from alerter.queues.quarantine import UNWRITABLE, Quarantine
from alerter.queues.rotation import Rotation
from pydantic import SecretStr
from runtime.postgres.pool import Connection, Pool
from support.clients.webhook_receiver import https_receiver
from support.data.table_rows import TableRows
from support.faults.broken_customers import LOOPBACK, add_slack, come_due, make_customers, raise_for, rows
from support.services.alerter import (
    NOW,
    add_channel,
    age,
    evaluator,
    make_customer,
    smtp_server,
)

pytestmark = pytest.mark.expected_errors("many organizations are set aside")


def mailer(pool: Pool, port: int) -> Mailer:
    server = MailServer("127.0.0.1", port, "offered", None, SecretStr(""))
    return Mailer(pool, server, MailConfig("flex@flex.example", "https://flex.example"))


async def test_a_mail_that_cannot_be_rendered_is_deferred_and_the_others_are_sent(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    *_, broken = await make_customers(db)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="sweep")
    context = await owner.fetchval(
        "SELECT mail_context FROM alert_firings WHERE organization_id = $1 AND notification = 'sent'", broken.number
    )
    for nonsense in ('{"rule": "usage"}', "[]", "null"):
        await owner.execute("UPDATE alert_firings SET mail_context = $2 WHERE organization_id = $1 AND notification = 'sent'", broken.number, nonsense)  # fmt: skip
        async with smtp_server() as server:
            await mailer(pool, server.port).send_due()
            sent = [to for to, _ in server.got]
        assert not [to for to in sent if "broken" in to]
        await age(owner, timedelta(hours=1))
    assert await owner.fetchval("SELECT count(*) FROM email_outbox WHERE state = 'sent'") == 9
    assert await rows(owner) == [("org_broken", "mail", 3)]
    details = await owner.fetch("SELECT DISTINCT detail FROM email_attempts WHERE outcome = 'deferred'")
    assert [row["detail"] for row in details] == ["could not be written, the operators were notified"]
    await owner.execute("UPDATE alert_firings SET mail_context = $2 WHERE organization_id = $1 AND notification = 'sent'", broken.number, context)  # fmt: skip
    await owner.execute("UPDATE email_outbox SET due_at = now() + interval '1 hour' WHERE state = 'pending'")
    await come_due(owner)
    await retry_quarantined(pool, alerter)
    async with smtp_server() as server:
        await mailer(pool, server.port).send_due()
        assert len(server.got) == len({to for to, _ in server.got}) == 3
    await retry_quarantined(pool, alerter)
    assert await rows(owner) == []


async def test_what_a_server_deferred_keeps_its_wait_while_another_mail_is_set_aside(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    [acme] = await make_customers(db, 1)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="sweep")
    deferred, unwritten = await claim_mails(pool, 2, 60, [], 4)
    await record_mail_result(pool, deferred, Attempt("deferred", "451 4.7.1 try again later", 3600))
    await record_mail_result(pool, unwritten, Attempt("deferred", UNWRITABLE, 3600))
    await Quarantine(pool).add("mail", {acme.number: ValueError()})
    await come_due(owner)
    await retry_quarantined(pool, alerter)
    due = await owner.fetch("SELECT email_id FROM email_outbox WHERE due_at <= now() AND attempts > 0")
    assert [row["email_id"] for row in due] == [unwritten.email_id]
    assert await rows(owner) == [("org_broken", "mail", 1)]
    await record_mail_result(pool, unwritten, Attempt("sent", "250 taken"))
    await retry_quarantined(pool, alerter)
    assert await rows(owner) == [], "quarantined although only the server deferred"


FLOOD = 30_000


BLOCKS_MAX = 3000
"""Limit of 8 KiB blocks for a statement that reads 100 items of each organization; FLOOD items have more."""


FLOODS = {
    "mail": (
        "INSERT INTO email_outbox (organization_id, message_id, recipient, created_at, mail_context, attempts, due_at)"
        " SELECT $1, gen_random_uuid(), 'ada@acme.example', now(), '{}', 1, now() + interval '1 hour' FROM generate_series(1, $2::integer) n",
        "INSERT INTO email_attempts (email_id, organization_id, attempt, outcome, detail)"
        " SELECT email_id, organization_id, 1, 'deferred', $1 FROM email_outbox WHERE attempts = 1",
        "SELECT count(*) FROM email_outbox WHERE organization_id = $1 AND due_at <= now()",
        "retry_emails",
    ),
    "channel": (
        "WITH notice AS (INSERT INTO alert_events (organization_id, event_id, kind, body, created_at, published_at)"
        " SELECT $1, gen_random_uuid(), 'test', '{}', now(), now() FROM generate_series(1, $2::integer) n RETURNING alert_event_id)"
        " INSERT INTO alert_deliveries (organization_id, channel_id, alert_event_id, created_at, attempts, due_at)"
        " SELECT $1, c.channel_id, alert_event_id, now(), 1, now() + interval '1 hour' FROM notice JOIN alert_channels c ON c.organization_id = $1",
        "INSERT INTO alert_delivery_attempts (delivery_id, organization_id, attempt, outcome, detail)"
        " SELECT delivery_id, organization_id, 1, 'deferred', $1 FROM alert_deliveries WHERE attempts = 1",
        "SELECT count(*) FROM alert_deliveries WHERE organization_id = $1 AND due_at <= now()",
        "retry_deliveries",
    ),
}  # fmt: skip
"""SQL to insert $2 items of organization $1, store results of attempts ($1) and count due items; the retry's name."""


@pytest.mark.parametrize("detail", [UNWRITABLE, "451 4.7.1 try again later"])
@pytest.mark.parametrize("step", FLOODS)
async def test_retries_read_a_portion_of_each_organizations_items(
    db: TableRows, pool: Pool, owner: Connection, step: Literal["mail", "channel"], detail: str
) -> None:
    """One organization has tens of thousands of items. Its number of items does not affect the retry of another."""
    put, attempted, due, retry = FLOODS[step]
    many, few = [await make_customer(db, name, members=False) for name in ("org_many", "org_few")]
    for customer in (many, few):
        await add_channel(customer, "https://hooks.example/")
        await Quarantine(pool).add(step, {customer.number: ValueError()})
    await owner.execute(put, many.number, FLOOD)
    await owner.execute(attempted, detail)
    await owner.execute(put, few.number, 1)
    await owner.execute(attempted + " ON CONFLICT DO NOTHING", UNWRITABLE)
    async with pool.acquire() as connection:
        released = await count_blocks(connection, "release_finished", UNWRITABLE, 200)
        assert released < BLOCKS_MAX
        assert await rows(owner) == [("org_few", step, 1)] + [("org_many", step, 1)] * (detail == UNWRITABLE)
        numbers = [many.number, few.number]
        assert await count_blocks(connection, retry, numbers, UNWRITABLE, 100) < BLOCKS_MAX
    assert await owner.fetchval(due, few.number) == 1
    assert await owner.fetchval(due, many.number) == (100 if detail == UNWRITABLE else 0)


async def count_blocks(connection: Connection, statement: str, *arguments: object) -> int:
    """Blocks that the statement reads when it runs."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {SQL[statement]}"
    [plan] = json.loads(await connection.fetchval(explain, *arguments))
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


async def test_a_mail_whose_end_cannot_be_written_down_is_not_sent_again(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    *_, broken = await make_customers(db)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="sweep")
    heal = await raise_for(owner, broken, "email_attempts")
    async with smtp_server() as server:
        sender = mailer(pool, server.port)
        for _ in range(3):
            await sender.send_due()
            await age(owner, timedelta(minutes=2))
        assert len(server.got) == len({to for to, _ in server.got}) == 12
        assert await rows(owner) == [("org_broken", "mail", 3)]
        await heal()
        await sender.send_due()
        assert len(server.got) == 12
    assert await owner.fetchval("SELECT count(*) FROM email_outbox WHERE state = 'sent'") == 12
    await retry_quarantined(pool, alerter)
    assert await rows(owner) == []


async def test_a_message_that_cannot_be_written_is_deferred_and_the_others_are_sent(
    db: TableRows, pool: Pool, owner: Connection, tmp_path: Path
) -> None:
    *others, broken = await make_customers(db)
    alerter = evaluator(pool)
    async with https_receiver(tmp_path) as receiver, open_public_http(receiver.ca_file, LOOPBACK) as http:
        for customer in (broken, *others):
            await add_slack(customer, f"{receiver.url}/{customer.number}")
        await alerter.evaluate(None, trigger="sweep")
        bodies = await owner.fetch(
            "SELECT alert_event_id, body FROM alert_events WHERE organization_id = $1", broken.number
        )
        await owner.execute("UPDATE alert_events SET body = 'nonsense' WHERE organization_id = $1", broken.number)
        deliverer = Deliverer(pool, http, "https://flex.example")
        await deliverer.send_due()
        assert sorted(post.path for post in receiver.posts) == sorted(f"/{customer.number}" for customer in others)
        assert await rows(owner) == [("org_broken", "channel", 1)]
        for alert_event_id, body in bodies:
            await owner.execute("UPDATE alert_events SET body = $2 WHERE alert_event_id = $1", alert_event_id, body)
        await come_due(owner)
        await retry_quarantined(pool, alerter)
        await deliverer.send_due()
        assert [post.path for post in receiver.posts].count(f"/{broken.number}") == 1
        await retry_quarantined(pool, alerter)
        assert await rows(owner) == []


async def test_a_request_that_cannot_be_answered_waits_and_the_others_are_answered(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    *others, broken = await make_customers(db)
    heal = await raise_for(owner, broken, "email_outbox")
    for customer in (broken, *others, broken):
        await owner.execute(
            "INSERT INTO mail_requests (organization_id, kind, rule, recipient) VALUES ($1, 'test', 'usage', 'ada@acme.example')",
            customer.number,
        )
    for _ in range(2):
        await answer_requests(pool, "flex.example", lambda: NOW, Rotation())
        assert await owner.fetchval("SELECT count(*) FROM email_outbox") == 3
        assert await owner.fetchval("SELECT count(*) FROM mail_requests") == 2
        assert await rows(owner) == [("org_broken", "request", 1)]
    await heal()
    await come_due(owner)
    for _ in range(2):
        await answer_requests(pool, "flex.example", lambda: NOW, Rotation())
        assert await owner.fetchval("SELECT count(*) FROM email_outbox") == 5
    await retry_quarantined(pool, evaluator(pool))
    assert await rows(owner) == []
