"""Requests by admins: test mails to themselves, and resending failed mails."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from alerter.email.message import MailConfig
from alerter.email.smtp import Mailer, MailServer
from alerter.evaluation.requests import answer_requests
from alerter.queues.rotation import Rotation
from pydantic import SecretStr
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.services.alerter import MICRO, NOW, Customer, age, banner, evaluator, firings, make_customer, smtp_server

ADA = "ada@acme.example"


async def ask(owner: Connection, customer: Customer, kind: str, rule: str = "usage", **what: Any) -> None:
    await owner.execute(
        "INSERT INTO mail_requests (organization_id, kind, rule, firing_id, recipient) VALUES ($1, $2, $3, $4, $5)",
        customer.number, kind, rule, what.get("firing"), what.get("recipient"),
    )  # fmt: skip


async def answer(pool: Pool) -> None:
    await answer_requests(pool, "flex.example", lambda: NOW, Rotation())


def mailer(pool: Pool, port: int) -> Mailer:
    server = MailServer("127.0.0.1", port, "offered", None, SecretStr(""))
    return Mailer(pool, server, MailConfig("flex@flex.example", "https://flex.example"))


@pytest.mark.parametrize("rule", ["usage", "budget"])
async def test_a_test_goes_to_who_asked_with_the_numbers_of_now_and_changes_nothing_else(
    db: TableRows, pool: Pool, owner: Connection, rule: str
) -> None:
    acme = await make_customer(db, total=200)
    await acme.save(usage_thresholds=[90, 80], budget_thresholds=[95], budget_recurring_credits=100 * MICRO)
    await acme.use(70)
    await acme.use(30, "2026-10-02")
    await ask(owner, acme, "test", rule, recipient=ADA)
    await answer(pool)
    await answer(pool)
    row = await owner.fetchrow("SELECT * FROM email_outbox")
    assert (row["recipient"], row["firing_id"], row["is_additional"], row["state"]) == (ADA, None, False, "pending")
    context = json.loads(row["mail_context"])
    used, available, thresholds = {"usage": (100, 200, [80, 90]), "budget": (70, 100, [95])}[rule]
    assert (context["rule"], context["used"], context["available"]) == (rule, used * MICRO, available * MICRO)
    assert context["test"] == {"thresholds": thresholds}
    assert await owner.fetchval("SELECT count(*) FROM mail_requests") == 0
    assert await firings(owner, acme.number) == []
    assert await banner(owner, acme.number) is None
    async with smtp_server() as server:
        assert await mailer(pool, server.port).send_due() == 1
    assert server.got == [(ADA, row["message_id"])]


@pytest.mark.parametrize("rule", ["usage", "budget"])
async def test_a_test_without_contract_or_budget_comes_too(
    db: TableRows, pool: Pool, owner: Connection, rule: str
) -> None:
    acme = await make_customer(db, total=None)
    await ask(owner, acme, "test", rule, recipient=ADA)
    await answer(pool)
    async with smtp_server() as server:
        assert await mailer(pool, server.port).send_due() == 1
    assert await owner.fetchval("SELECT mail_context->>'used' FROM email_outbox") is None


async def test_two_tests_are_two_mails_and_several_alerters_write_each_once(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db)
    for _ in range(20):
        await ask(owner, acme, "test", recipient=ADA)
    await asyncio.gather(*(answer(pool) for _ in range(4)))
    assert await owner.fetchval("SELECT count(DISTINCT message_id) FROM email_outbox") == 20


async def test_an_answer_that_is_interrupted_leaves_the_request(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(db)
    await ask(owner, acme, "test", recipient=ADA)
    await owner.execute("ALTER TABLE usage_series RENAME TO usage_series_away")
    with pytest.raises(Exception, match="usage_series"):
        await answer(pool)
    assert await owner.fetchval("SELECT count(*) FROM email_outbox") == 0
    await owner.execute("ALTER TABLE usage_series_away RENAME TO usage_series")
    await answer(pool)
    assert await owner.fetchval("SELECT count(*) FROM email_outbox") == 1


async def fail_two_of_three(db: TableRows, pool: Pool, owner: Connection) -> tuple[Customer, int, list[str]]:
    """A firing whose mails to the first two of three recipients were refused."""
    acme = await make_customer(db)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    to = [row["recipient"] for row in await owner.fetch("SELECT recipient FROM email_outbox ORDER BY 1")]
    async with smtp_server(refuse={to[0]: "550 5.1.1 no such user", to[1]: "550 5.1.1 no such user"}) as server:
        await mailer(pool, server.port).send_due()
    return acme, await owner.fetchval("SELECT firing_id FROM alert_firings"), to


async def mails(owner: Connection) -> list[tuple[Any, ...]]:
    rows = await owner.fetch(
        "SELECT e.state, array_agg(a.attempt || ' ' || a.outcome ORDER BY a.attempt) FROM email_outbox e"
        " JOIN email_attempts a USING (email_id) GROUP BY e.email_id ORDER BY e.recipient"
    )
    return [tuple(row) for row in rows]


async def test_what_failed_is_sent_again_under_its_message_id_and_keeps_its_attempts(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme, firing, to = await fail_two_of_three(db, pool, owner)
    ids = {tuple(row) for row in await owner.fetch("SELECT recipient, message_id FROM email_outbox")}
    await ask(owner, acme, "resend", firing=firing)
    await answer(pool)
    async with smtp_server() as server:
        assert await mailer(pool, server.port).send_due() == 2
    assert set(server.got) == {(recipient, message_id) for recipient, message_id in ids if recipient in to[:2]}
    assert await mails(owner) == [("sent", ["1 refused", "2 sent"])] * 2 + [("sent", ["1 sent"])]
    await ask(owner, acme, "resend", firing=firing)
    await answer(pool)
    assert await owner.fetchval("SELECT count(*) FROM email_outbox WHERE state = 'pending'") == 0, "sent is sent"


async def test_one_of_those_who_failed_can_be_chosen(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme, firing, to = await fail_two_of_three(db, pool, owner)
    other = await make_customer(db, "org_other")
    await ask(owner, other, "resend", firing=firing)
    await ask(owner, acme, "resend", firing=firing, recipient=to[1].upper())
    await ask(owner, acme, "resend", firing=firing, recipient="unknown@acme.example")
    await answer(pool)
    due = await owner.fetch("SELECT recipient FROM email_outbox WHERE state = 'pending'")
    assert [row["recipient"] for row in due] == [to[1]]


async def test_a_mail_sent_again_long_after_its_firing_is_not_given_up_at_its_first_failure(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme, firing, to = await fail_two_of_three(db, pool, owner)
    await owner.execute(
        "UPDATE email_outbox SET created_at = created_at - interval '30 days', pending_since = now() - interval '30 days', attempts = attempts + 90"
    )
    await ask(owner, acme, "resend", firing=firing, recipient=to[0])
    await answer(pool)
    async with smtp_server(refuse={to[0]: "451 later"}) as server:
        await mailer(pool, server.port).send_due()
        server.refuse.clear()
        await age(owner, timedelta(seconds=1))
        assert await mailer(pool, server.port).send_due() == 1, "waits start again"
    assert (await mails(owner))[0] == ("sent", ["1 refused", "92 deferred", "93 sent"])
