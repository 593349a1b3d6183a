"""If one organization's rows make a step fail, the others' alerts, mails and messages are complete and in time."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, ClassVar, Literal

import asyncpg
import pytest
from alerter.db.channel_queries import Delivery, claim_deliveries, record_delivery_result
from alerter.db.email_queries import claim_mails, record_mail_result
from alerter.db.statements import SQL
from alerter.domain.attempts import Attempt
from alerter.email.message import MailConfig
from alerter.email.smtp import Mailer, MailServer
from alerter.evaluation.requests import answer_requests
from alerter.evaluation.retry import retry_quarantined
from alerter.evaluation.wakeups import drain_wakeups
from alerter.faust.stream import read_organizations
from alerter.notify.public_http import open_public_http
from alerter.notify.webhooks import Deliverer
from alerter.queues.quarantine import UNWRITABLE, Quarantine
from alerter.queues.rotation import Rotation
from prometheus_client import REGISTRY
from pydantic import SecretStr
from runtime.postgres.pool import Connection, Pool
from support.clients.webhook_receiver import https_receiver
from support.data.table_rows import Books
from support.infra.service_process import eventually
from support.services.alerter import (
    MICRO,
    NOW,
    Customer,
    add_channel,
    age,
    banner,
    evaluator,
    firings,
    make_customer,
    outbox,
    smtp_server,
)

FIRED = [(75, 1, "bundled", None), (90, 1, "sent", None)]
LOOPBACK = [ip_network("127.0.0.0/8")]
HUGE = 5_000_000_000_000_000_000


async def make_customers(books: Books, many: int = 4) -> list[Customer]:
    """Organizations that have used 95 %. The last one is broken."""
    customers = [await make_customer(books, f"org_{at}") for at in range(many - 1)]
    customers.append(await make_customer(books, "org_broken"))
    for customer in customers:
        await customer.use(95)
    return customers


async def raise_for(owner: Connection, customer: Customer, table: str, when: str = "INSERT") -> Callable[[], Any]:
    """Create a trigger that fails for this organization's rows; returns a function that removes it."""
    await owner.execute(
        f"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.organization_id = {customer.number} THEN RAISE 'broken row\nof a secret'; END IF; RETURN NEW; END $$;"
        f" CREATE TRIGGER broken BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION broken()"
    )

    async def heal() -> None:
        await owner.execute(f"DROP TRIGGER broken ON {table}; DROP FUNCTION broken")

    return heal


async def sum_beyond_bigint(owner: Connection, customer: Customer) -> Callable[[], Any]:
    for product in ("agents", "api"):
        await customer.use(HUGE / MICRO, product=product)

    async def heal() -> None:
        for product in ("agents", "api"):
            await customer.use(-HUGE / MICRO, product=product)

    return heal


async def rows(owner: Connection) -> list[tuple[Any, ...]]:
    """Organization, step and attempts of all quarantined organizations."""
    found = await owner.fetch(
        "SELECT organization, step, attempts FROM quarantine JOIN organizations USING (organization_id)"
        " WHERE component = 'alerter' ORDER BY 1, 2"
    )
    return [tuple(row) for row in found]


async def come_due(owner: Connection) -> None:
    """Make quarantined organizations due, as `flexcredits quarantine release` does."""
    await owner.execute("UPDATE quarantine SET retry_at = now()")


async def wake(owner: Connection, customer: Customer) -> None:
    await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES ($1)", customer.number)


async def add_slack(customer: Customer, url: str) -> None:
    await customer.books.execute(
        "INSERT INTO alert_channels (organization_id, kind, name, masked_url, url, created_by) VALUES ($1, 'slack', 'Ops', $2, $2, 'ada')",
        customer.number, url,
    )  # fmt: skip


def mailer(pool: Pool, port: int) -> Mailer:
    server = MailServer("127.0.0.1", port, "offered", None, SecretStr(""))
    return Mailer(pool, server, MailConfig("flex@flex.example", "https://flex.example"))


async def assert_all_notified(owner: Connection, customers: list[Customer]) -> None:
    for customer in customers:
        assert await firings(owner, customer.number) == FIRED
        assert await banner(owner, customer.number) == (90, 1)
        assert len(await outbox(owner, customer.number)) == 3


BREAKS: dict[str, Callable[[Connection, Customer], Any]] = {
    "a sum beyond bigint": sum_beyond_bigint,
    "a firing that cannot be written": lambda owner, customer: raise_for(owner, customer, "alert_firings"),
    "a banner that cannot be written": lambda owner, customer: raise_for(owner, customer, "banners"),
    "a mail that cannot be written": lambda owner, customer: raise_for(owner, customer, "email_outbox"),
    "a notice that cannot be written": lambda owner, customer: raise_for(owner, customer, "alert_events"),
}


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("healed_by", ["wake-up", "release"])
async def test_who_cannot_be_evaluated_is_set_aside_and_evaluated_once_healed(
    books: Books, pool: Pool, owner: Connection, how: str, healed_by: str
) -> None:
    *others, broken = await make_customers(books)
    heal = await BREAKS[how](owner, broken)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="sweep")
    await assert_all_notified(owner, others)
    assert await rows(owner) == [("org_broken", "evaluate", 1)]
    for customer in others:
        await customer.use(10)
    await alerter.evaluate(None, trigger="sweep")
    await alerter.evaluate([customer.number for customer in (*others, broken)], trigger="totals")
    assert [await banner(owner, customer.number) for customer in others] == [(100, 1)] * 3
    assert await rows(owner) == [("org_broken", "evaluate", 1)], "retried before its time"
    await come_due(owner)
    await retry_quarantined(pool, alerter)
    assert await rows(owner) == [("org_broken", "evaluate", 2)]
    assert await owner.fetchval("SELECT retry_at > now() + interval '9 s' FROM quarantine")
    assert await firings(owner, broken.number) == []
    await heal()
    if healed_by == "wake-up":
        await wake(owner, broken)
        await drain_wakeups(pool, alerter)
    else:
        await come_due(owner)
        await retry_quarantined(pool, alerter)
    await assert_all_notified(owner, [broken])
    assert await rows(owner) == []
    await alerter.evaluate(None, trigger="rollover", history=True)
    await retry_quarantined(pool, alerter)
    assert REGISTRY.get_sample_value("flexcredits_alerter_quarantined", {"step": "evaluate"}) == 0
    await assert_all_notified(owner, [broken])


async def test_others_wakeups_are_done_once_and_leave_the_table(books: Books, pool: Pool, owner: Connection) -> None:
    *others, broken = await make_customers(books)
    heal = await sum_beyond_bigint(owner, broken)
    for customer in (broken, *others):
        await wake(owner, customer)
    alerter = evaluator(pool)
    await drain_wakeups(pool, alerter)
    await assert_all_notified(owner, others)
    assert await owner.fetchval("SELECT count(*) FROM alert_wakeups") == 0
    assert await rows(owner) == [("org_broken", "wakeup", 1)]
    await wake(owner, broken)
    await drain_wakeups(pool, alerter)
    assert await rows(owner) == [("org_broken", "wakeup", 2)], "a change of its own triggers a retry"
    await heal()
    await come_due(owner)
    await retry_quarantined(pool, alerter)
    await assert_all_notified(owner, [broken])
    assert await rows(owner) == []


async def test_an_old_period_that_raises_stops_no_evaluation_of_the_present(
    books: Books, pool: Pool, owner: Connection
) -> None:
    *others, broken = await make_customers(books)
    await books.period(broken.number, "c1", "ancient", "2020-01-01", "2021-01-01", total=1)
    for product in ("agents", "api"):
        await broken.use(HUGE / MICRO, "2020-05-05", product)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="rollover", history=True)
    assert await rows(owner) == [("org_broken", "wakeup", 1)]
    await alerter.evaluate(None, trigger="sweep")
    await assert_all_notified(owner, [*others, broken])
    assert await rows(owner) == [("org_broken", "wakeup", 1)]


@pytest.mark.parametrize(("known", "failing"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 5)])
async def test_however_many_fail_all_others_are_notified(
    books: Books, pool: Pool, owner: Connection, known: int, failing: int
) -> None:
    """One defective product may affect most of a few customers. The process continues, is not ready, and names the reason."""
    customers = await make_customers(books, known)
    heal = [await sum_beyond_bigint(owner, customer) for customer in customers[:failing]]
    alerter = evaluator(pool)
    for _ in range(2):
        await alerter.evaluate(None, trigger="sweep")
    assert [at[1:] for at in await rows(owner)] == [("evaluate", 1)] * failing
    await assert_all_notified(owner, customers[failing:])
    await alerter.quarantine.measure()
    assert alerter.quarantine.widespread == f"evaluate fails for {failing} of {known} organizations"
    for heal_one in heal:
        await heal_one()
    await owner.execute(SQL["retry_all"])
    await retry_quarantined(pool, alerter)
    await assert_all_notified(owner, customers)
    assert alerter.quarantine.widespread is None


async def slow_for(owner: Connection, *customers: Customer) -> Callable[[], Any]:
    """Create a trigger that fails like a statement timeout; returns a function that removes it."""
    numbers = [customer.number for customer in customers]
    await owner.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.organization_id = ANY (ARRAY{numbers}) THEN RAISE 'slow' USING ERRCODE = '57014'; END IF; RETURN NEW; END $$;"
        " CREATE TRIGGER slow BEFORE INSERT ON alert_firings FOR EACH ROW EXECUTE FUNCTION slow()"
    )

    async def heal() -> None:
        await owner.execute("DROP FUNCTION slow CASCADE")

    return heal


async def test_an_evaluation_that_takes_too_long_is_put_off_for_its_organization_alone(
    books: Books, pool: Pool, owner: Connection
) -> None:
    *others, broken = await make_customers(books)
    heal = await slow_for(owner, broken)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="sweep")
    await assert_all_notified(owner, others)
    assert await rows(owner) == [("org_broken", "evaluate", 1)]
    await heal()
    await come_due(owner)
    await retry_quarantined(pool, alerter)
    await assert_all_notified(owner, [*others, broken])


async def test_a_server_that_is_slow_for_all_quarantines_no_organization(
    books: Books, pool: Pool, owner: Connection
) -> None:
    customers = await make_customers(books)
    heal = await slow_for(owner, *customers)
    with pytest.raises(asyncpg.QueryCanceledError):
        await evaluator(pool).evaluate(None, trigger="sweep")
    assert await rows(owner) == []
    await heal()
    await evaluator(pool).evaluate(None, trigger="sweep")
    await assert_all_notified(owner, customers)


@pytest.mark.parametrize("all_slow", [False, True])
async def test_reading_that_takes_too_long_for_one_and_for_all(
    books: Books, pool: Pool, owner: Connection, all_slow: bool
) -> None:
    *others, broken = await make_customers(books)
    await evaluator(pool).evaluate(None, trigger="sweep")
    slow = [customer.number for customer in (*others, broken)] if all_slow else [broken.number]
    await owner.execute(
        "CREATE FUNCTION slow(number integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        f" IF number = ANY (ARRAY{slow}) THEN RAISE 'slow' USING ERRCODE = '57014'; END IF; RETURN true; END $$;"
        "CREATE POLICY slow ON banners AS RESTRICTIVE TO flexcredits_alerter USING (slow(organization_id))"
    )
    for customer in others:
        await customer.use(-50)
    if all_slow:
        with pytest.raises(asyncpg.QueryCanceledError):
            await evaluator(pool).evaluate(None, trigger="sweep")
        assert await rows(owner) == []
    else:
        await evaluator(pool).evaluate(None, trigger="sweep")
        assert await rows(owner) == [("org_broken", "evaluate", 1)]
        assert [await banner(owner, customer.number) for customer in others] == [None] * 3


async def test_a_statement_that_does_not_fit_the_schema_stops_the_process(
    books: Books, pool: Pool, owner: Connection
) -> None:
    await make_customers(books)
    await owner.execute("ALTER TABLE alert_firings RENAME COLUMN mail_context TO mail_context_of_a_newer_release")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await evaluator(pool).evaluate(None, trigger="sweep")
    assert await rows(owner) == []


async def test_a_reason_is_one_line_without_what_is_secret(books: Books, pool: Pool, owner: Connection) -> None:
    *_, broken = await make_customers(books)
    await raise_for(owner, broken, "alert_firings")
    await evaluator(pool).evaluate(None, trigger="sweep")
    assert await owner.fetchval("SELECT reason FROM quarantine") == "RaiseError: broken row"
    secret = ValueError("https://hooks.slack.com/services/SECRET")
    await Quarantine(pool).add("channel", {broken.number: secret})
    assert await owner.fetchval("SELECT reason FROM quarantine WHERE step = 'channel'") == "ValueError"


async def test_a_mail_that_cannot_be_rendered_is_deferred_and_the_others_are_sent(
    books: Books, pool: Pool, owner: Connection
) -> None:
    *_, broken = await make_customers(books)
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
    books: Books, pool: Pool, owner: Connection
) -> None:
    [acme] = await make_customers(books, 1)
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
    books: Books, pool: Pool, owner: Connection, step: Literal["mail", "channel"], detail: str
) -> None:
    """One organization has tens of thousands of items. Its number of items does not affect the retry of another."""
    put, attempted, due, retry = FLOODS[step]
    many, few = [await make_customer(books, name, members=False) for name in ("org_many", "org_few")]
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
    books: Books, pool: Pool, owner: Connection
) -> None:
    *_, broken = await make_customers(books)
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
    books: Books, pool: Pool, owner: Connection, tmp_path: Path
) -> None:
    *others, broken = await make_customers(books)
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
    books: Books, pool: Pool, owner: Connection
) -> None:
    *others, broken = await make_customers(books)
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


async def test_thousands_of_due_mails_of_one_leave_the_others_their_turn(
    books: Books, pool: Pool, owner: Connection
) -> None:
    *others, many = await make_customers(books)
    await evaluator(pool).evaluate(None, trigger="sweep")
    await owner.execute(
        "INSERT INTO email_outbox (organization_id, firing_id, message_id, recipient, created_at, due_at)"
        " SELECT organization_id, firing_id, message_id || n, recipient, created_at, now() - interval '1 hour'"
        " FROM email_outbox CROSS JOIN generate_series(1, 3000) n WHERE organization_id = $1",
        many.number,
    )
    claimed = await claim_mails(pool, 8, 60, [], 4)
    assert {mail.organization_id for mail in claimed} == {customer.number for customer in (*others, many)}
    claimed = await claim_mails(pool, 8, 60, [many.number] * 4, 4)
    assert {mail.organization_id for mail in claimed} <= {customer.number for customer in others}


async def test_one_has_no_more_than_its_share_in_hand(books: Books, pool: Pool, owner: Connection) -> None:
    [acme] = await make_customers(books, 1)
    await evaluator(pool).evaluate(None, trigger="sweep")
    await owner.execute(
        "INSERT INTO email_outbox (organization_id, firing_id, message_id, recipient, created_at)"
        " SELECT organization_id, firing_id, message_id || n, recipient, created_at"
        " FROM email_outbox CROSS JOIN generate_series(1, 10) n"
    )
    assert len(await claim_mails(pool, 8, 60, [], 4)) == 4
    assert len(await claim_mails(pool, 8, 60, [acme.number] * 3, 4)) == 1
    assert len(await claim_mails(pool, 8, 60, [acme.number] * 4, 4)) == 0


async def test_a_channel_to_which_something_is_being_sent_gets_nothing_else(
    books: Books, pool: Pool, owner: Connection
) -> None:
    """Otherwise each tick would claim one more message for a hanging receiver, and a resolution could arrive first."""
    [acme] = await make_customers(books, 1)
    await add_channel(acme, "https://hanging.example/")
    await add_channel(acme, "https://other.example/")
    await evaluator(pool).evaluate(None, trigger="sweep")

    async def claim() -> list[Delivery]:
        return await claim_deliveries(pool, 32, 60, [], 16)

    first, other = sorted(await claim())
    assert first.channel_id < other.channel_id
    assert await claim() == []
    await record_delivery_result(pool, other, Attempt("sent", "200 OK"))
    [second] = await claim()
    assert (second.channel_id, second.delivery_id > other.delivery_id) == (other.channel_id, True)
    await record_delivery_result(pool, first, Attempt("deferred", "500", 30))
    [after] = await claim()
    assert (after.channel_id, after.delivery_id > first.delivery_id) == (first.channel_id, True)
    await record_delivery_result(pool, after, Attempt("sent", "200 OK"))
    await age(owner, timedelta(seconds=30))
    assert [delivery.delivery_id for delivery in await claim()] == [first.delivery_id]


async def test_a_receiver_that_hangs_delays_no_others_messages(
    books: Books, pool: Pool, owner: Connection, tmp_path: Path
) -> None:
    hanging, quick, late = [await make_customer(books, f"org_{name}") for name in ("hanging", "quick", "late")]
    alerter = evaluator(pool)
    silent = await asyncio.get_running_loop().create_server(Silent, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with https_receiver(tmp_path) as receiver, open_public_http(receiver.ca_file, LOOPBACK) as http:
        for _ in range(10):
            await add_slack(hanging, f"https://127.0.0.1:{port}/")
        for customer in (quick, late):
            await add_slack(customer, f"{receiver.url}/{customer.number}")
        deliverer = Deliverer(pool, http, "https://flex.example")
        await hanging.use(95)
        await quick.use(95)
        await alerter.evaluate(None, trigger="sweep")
        await eventually(lambda: ticked(deliverer, receiver.posts, 1), within_s=5, what="the quick one's message")
        await late.use(95)
        await alerter.evaluate(None, trigger="sweep")
        await eventually(lambda: ticked(deliverer, receiver.posts, 2), within_s=5, what="the late one's message")
        assert await owner.fetchval("SELECT count(*) FROM alert_delivery_attempts WHERE outcome = 'deferred'") == 0
        for task in deliverer._running:
            task.cancel()
        await asyncio.gather(*deliverer._running, return_exceptions=True)
    silent.close()
    await eventually(lambda: not Silent.connected, what="the end of the connections")


class Silent(asyncio.Protocol):
    """Accepts connections and never answers."""

    connected: ClassVar[set[asyncio.Protocol]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.connected.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connected.discard(self)


async def ticked(deliverer: Deliverer, posts: list[Any], many: int) -> bool:
    await deliverer.tick()
    return len(posts) >= many


def test_names_that_postgres_does_not_take_are_left_to_the_sweep() -> None:
    values = [json.dumps({"organization": name}).encode() for name in ("org_acme", "a\0b", "\ud800")]
    assert read_organizations(values) == {"org_acme"}
