"""Many items or a hanging receiver of one organization delay no other organization."""

import asyncio
import socket
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from alerter.db.channel_queries import Delivery, claim_deliveries, record_delivery_result
from alerter.db.email_queries import claim_mails
from alerter.domain.attempts import Attempt
from alerter.email.message import MailConfig
from alerter.email.smtp import Mailer, MailServer
from alerter.notify.public_http import open_public_http
from alerter.notify.webhooks import Deliverer
from pydantic import SecretStr
from runtime.postgres.pool import Connection, Pool
from support.clients.webhook_receiver import https_receiver
from support.data.table_rows import TableRows
from support.faults.broken_customers import LOOPBACK, add_slack, make_customers
from support.infra.service_process import eventually
from support.services.alerter import (
    add_channel,
    age,
    evaluator,
    make_customer,
    smtp_server,
)


async def test_thousands_of_due_mails_of_one_leave_the_others_their_turn(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    *others, many = await make_customers(db)
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


async def test_one_has_no_more_than_its_share_in_hand(db: TableRows, pool: Pool, owner: Connection) -> None:
    [acme] = await make_customers(db, 1)
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
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    """Otherwise each tick would claim one more message for a hanging receiver, and a resolution could arrive first."""
    [acme] = await make_customers(db, 1)
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
    db: TableRows, pool: Pool, owner: Connection, tmp_path: Path
) -> None:
    hanging, quick, late = [await make_customer(db, f"org_{name}") for name in ("hanging", "quick", "late")]
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


async def test_name_servers_that_do_not_answer_delay_no_others_mails_and_messages(
    db: TableRows, pool: Pool, owner: Connection, tmp_path: Path
) -> None:
    """Resolving a name cannot be cancelled: its thread waits on after the attempt has ended."""
    hanging, other = [await make_customer(db, f"org_{name}", members=name == "other") for name in ("hanging", "other")]
    answers, asked = threading.Event(), list[str]()

    def get_addresses(host: str, *args: Any, **options: Any) -> list[Any]:
        asked.append(host)
        if host.endswith(".example"):
            answers.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return socket.getaddrinfo(host, *args, **options)

    async with (
        https_receiver(tmp_path) as receiver,
        smtp_server() as mail_server,
        open_public_http(receiver.ca_file, LOOPBACK, within_s=0.5, get_addresses=get_addresses) as http,
    ):
        for number in range(10):
            await add_slack(hanging, f"https://{number}.hanging.example/")
        await add_slack(other, f"{receiver.url}/{other.number}")
        deliverer = Deliverer(pool, http, "https://flex.example")
        server = MailServer("localhost", mail_server.port, "offered", None, SecretStr(""))
        mailer = Mailer(pool, server, MailConfig("flex@flex.example", "https://flex.example"))
        try:
            await hanging.use(95)
            await evaluator(pool).evaluate(None, trigger="sweep")
            for _ in range(3):
                await age(owner, timedelta(hours=1))
                await deliverer.send_due()
            assert len(asked) == 30, "each attempt has ended and left a thread"
            await other.use(95)
            await evaluator(pool).evaluate(None, trigger="sweep")
            async with asyncio.timeout(5):
                await mailer.send_due()
                await deliverer.send_due()
            assert len(mail_server.got) == 3
            assert [post.path for post in receiver.posts] == [f"/{other.number}"]
        finally:
            answers.set()


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
