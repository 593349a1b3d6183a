"""The outbox against a real SMTP server that is down, refuses, hangs, or accepts a mail and drops the connection."""

import asyncio
import ssl
from datetime import timedelta
from typing import Any

import aiosmtplib
import pytest
from alerter.db.email_queries import claim_mails, record_mail_result
from alerter.domain.attempts import Attempt
from alerter.email.message import MailConfig
from alerter.email.refusals import classify_failure
from alerter.email.smtp import Mailer, MailServer
from alerter.queues.outbox import LEASE_S
from pydantic import SecretStr
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.infra.service_process import eventually
from support.services.alerter import Script, age, evaluator, make_customer, smtp_server

TO = ["admin@org-acme.example", "billing_moderator@org-acme.example", "super_admin@org-acme.example"]


@pytest.fixture(params=["usage", "budget"])
async def fired(request: pytest.FixtureRequest, db: TableRows, pool: Pool) -> None:
    """Three due mails: about usage to role holders, or about a budget to one additional recipient and two role holders."""
    acme = await make_customer(db, total=100 if request.param == "usage" else None)
    if request.param == "budget":
        await db.execute("UPDATE members SET removed = true WHERE email = $1", TO[1])
        await acme.set_budget(100, budget_recipients_on=True, budget_recipients=[TO[1]])
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")


def mailer(pool: Pool, port: int, send_within_s: float = 20) -> Mailer:
    server = MailServer("127.0.0.1", port, "offered", None, SecretStr(""), send_within_s)
    return Mailer(pool, server, MailConfig("flex@flex.example", "https://flex.example", "s" * 32))


async def states(owner: Connection) -> list[tuple[Any, ...]]:
    """State and attempts of every mail, by recipient."""
    rows = await owner.fetch("SELECT state, attempts FROM email_outbox ORDER BY recipient")
    return [tuple(row) for row in rows]


async def attempts(owner: Connection, recipient: str) -> list[tuple[Any, ...]]:
    rows = await owner.fetch(
        "SELECT attempt, outcome, detail FROM email_attempts JOIN email_outbox USING (email_id)"
        " WHERE recipient = $1 ORDER BY attempt",
        recipient,
    )
    return [tuple(row) for row in rows]


async def message_ids(owner: Connection) -> set[tuple[str, str]]:
    return {tuple(row) for row in await owner.fetch("SELECT recipient, message_id FROM email_outbox")}


async def test_each_person_gets_one_mail_and_it_is_written_down(fired: None, pool: Pool, owner: Connection) -> None:
    async with smtp_server() as server:
        assert await mailer(pool, server.port).send_due() == 3
        assert await mailer(pool, server.port).send_due() == 0
    assert sorted(server.got) == sorted(await message_ids(owner))
    assert await states(owner) == [("sent", 1)] * 3
    assert await attempts(owner, TO[0]) == [(1, "sent", "taken")]
    assert await owner.fetchval("SELECT count(*) FROM email_outbox WHERE finished_at IS NULL") == 0


async def test_a_server_that_is_away_loses_nothing(fired: None, pool: Pool, owner: Connection) -> None:
    server = Script()
    sender = mailer(pool, server.port)
    assert await sender.send_due() == 3
    assert await states(owner) == [("pending", 1)] * 3
    assert await sender.send_due() == 0, "retried without waiting"
    [(number, outcome, detail)] = await attempts(owner, TO[0])
    assert (number, outcome) == (1, "deferred")
    assert "SMTPConnectError" in detail
    for waited_s in (1, 2, 5):
        await age(owner, timedelta(seconds=waited_s))
        assert await sender.send_due() == 3
    await server.start()
    await age(owner, timedelta(seconds=10))
    assert await sender.send_due() == 3
    await server.stop()
    assert await states(owner) == [("sent", 5)] * 3
    assert sorted(server.got) == sorted(await message_ids(owner))


async def test_one_of_three_refused_permanently_delays_no_other(fired: None, pool: Pool, owner: Connection) -> None:
    async with smtp_server(refuse={TO[1]: "550 5.1.1 no such user"}) as server:
        await mailer(pool, server.port).send_due()
        await age(owner, timedelta(days=1))
        assert await mailer(pool, server.port).send_due() == 0
    assert await states(owner) == [("sent", 1), ("failed", 1), ("sent", 1)]
    assert await attempts(owner, TO[1]) == [(1, "refused", "550 5.1.1 no such user")]


async def test_greylisting_is_waited_out(fired: None, pool: Pool, owner: Connection) -> None:
    async with smtp_server(refuse={TO[1]: "451 4.7.1 try again in five minutes"}) as server:
        await mailer(pool, server.port).send_due()
        server.refuse.clear()
        await age(owner, timedelta(seconds=1))
        assert await mailer(pool, server.port).send_due() == 1
    assert await states(owner) == [("sent", 1), ("sent", 2), ("sent", 1)]
    assert len(server.got) == 3


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("554 5.6.0 not a message", "failed"),
        ("554 5.7.1 looks like spam", "pending"),
        ("452 4.3.1 disk full", "pending"),
    ],
)
async def test_a_mail_refused_after_its_data(
    fired: None, pool: Pool, owner: Connection, answer: str, state: str
) -> None:
    async with smtp_server(answer_data=lambda _: answer) as server:
        await mailer(pool, server.port).send_due()
    assert await states(owner) == [(state, 1)] * 3


async def test_a_connection_that_drops_after_data_makes_copies_with_the_same_message_id(
    fired: None, pool: Pool, owner: Connection
) -> None:
    async with smtp_server(answer_data=lambda number: "drop" if number == 1 else "250 taken") as server:
        await mailer(pool, server.port).send_due()
        await age(owner, timedelta(seconds=1))
        await mailer(pool, server.port).send_due()
    assert len(server.got) == 4, "the mail with unknown result is sent again"
    assert len(set(server.contents)) == 3, "a copy is the same byte for byte"
    assert set(server.got) == await message_ids(owner)
    assert sorted(await states(owner)) == [("sent", 1), ("sent", 1), ("sent", 2)]


async def test_a_server_that_hangs_is_given_up_and_the_others_are_served(
    fired: None, pool: Pool, owner: Connection
) -> None:
    """While one process waits for a hanging server, its claim keeps a second process from the mails."""
    async with smtp_server(hold=asyncio.Event()) as server:
        sending = asyncio.create_task(mailer(pool, server.port).send_due())
        await eventually(lambda: server.holding == 3, what="three mails on their way")
        assert await mailer(pool, server.port).send_due() == 0
        assert server.hold is not None
        server.hold.set()
        assert await sending == 3
    assert len(server.got) == 3


async def test_a_server_that_hangs_with_a_backlog_is_left_within_a_bounded_time(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    for number in range(40):
        customer = await make_customer(db, f"org_{number}")
        await customer.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    async with smtp_server(hold=asyncio.Event()) as server:
        began = asyncio.get_running_loop().time()
        attempts = await mailer(pool, server.port, send_within_s=3).send_due()
        assert asyncio.get_running_loop().time() - began < 20, "all rounds of the backlog would take 45 s"
    assert attempts < 120
    assert {state for state, _ in await states(owner)} == {"pending"}
    details = {row["detail"] for row in await owner.fetch("SELECT detail FROM email_attempts")}
    assert details == {"the mail server took too long"}


async def test_a_claim_of_a_dead_process_comes_back_and_a_zombies_word_counts_only_if_it_sent(
    fired: None, pool: Pool, owner: Connection
) -> None:
    frozen = await claim_mails(pool, 8, LEASE_S, [], 4)
    async with smtp_server() as server:
        assert await mailer(pool, server.port).send_due() == 0
        await age(owner, timedelta(seconds=LEASE_S - 1))
        assert await mailer(pool, server.port).send_due() == 0, "sent while the claim holds"
        await age(owner, timedelta(seconds=1))
        again = await claim_mails(pool, 8, LEASE_S, [], 4)
        assert [mail.attempt for mail in again] == [2, 2, 2]
        await record_mail_result(pool, frozen[0], Attempt("sent", "by the zombie"))
        await record_mail_result(pool, frozen[1], Attempt("deferred", "by the zombie", 3600))
        await record_mail_result(pool, frozen[2], Attempt("refused", "by the zombie"))
        assert sorted(state for state, _ in await states(owner)) == ["pending", "pending", "sent"]
        for mail in again:
            await record_mail_result(pool, mail, Attempt("sent", "by the owner"))
            await record_mail_result(pool, mail, Attempt("sent", "by the owner"))
    assert await states(owner) == [("sent", 2)] * 3


async def test_many_mailers_send_each_mail_once(db: TableRows, pool: Pool, owner: Connection) -> None:
    for number in range(10):
        customer = await make_customer(db, f"org_{number}")
        await customer.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    async with smtp_server() as server:
        sent = await asyncio.gather(*(mailer(pool, server.port).send_due() for _ in range(4)))
    assert sum(sent) == 30
    assert sorted(server.got) == sorted(await message_ids(owner))


async def test_an_invalid_address_is_recorded_and_delays_no_other(fired: None, pool: Pool, owner: Connection) -> None:
    await owner.execute("UPDATE email_outbox SET recipient = 'no address' WHERE recipient = $1", TO[0])
    await owner.execute("UPDATE email_outbox SET recipient = 'jörg@org-acme.example' WHERE recipient = $1", TO[1])
    async with smtp_server() as server:
        await mailer(pool, server.port).send_due()
    assert sorted(await states(owner)) == [("failed", 1), ("sent", 1), ("sent", 1)]
    assert "jörg@org-acme.example" in {recipient for recipient, _ in server.got}


async def test_a_domain_beyond_ascii_needs_nothing_of_the_server(fired: None, pool: Pool, owner: Connection) -> None:
    await owner.execute("UPDATE email_outbox SET recipient = 'ada@bücher.example' WHERE recipient = $1", TO[0])
    async with smtp_server(smtp={"enable_SMTPUTF8": False}) as server:
        await mailer(pool, server.port).send_due()
    assert set(await states(owner)) == {("sent", 1)}
    assert "ada@xn--bcher-kva.example" in {recipient for recipient, _ in server.got}


def at_rcpt(code: int, message: str) -> aiosmtplib.SMTPRecipientsRefused:
    return aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(code, message, "a@b.example")])


@pytest.mark.parametrize(
    "error",
    [
        *(at_rcpt(550, f"5.{status} <a@b.example>: no") for status in ("1.1", "1.2", "1.3", "1.6", "1.10", "2.1", "2.2", "2.3", "2.4")),
        at_rcpt(550, "The mailbox is gone\n5.1.1 no such user"),
        aiosmtplib.SMTPDataError(550, "5.1.1 no such user"),
        aiosmtplib.SMTPDataError(552, "5.2.2 mailbox full"),
        aiosmtplib.SMTPDataError(552, "5.3.4 Message too big"),
        aiosmtplib.SMTPDataError(552, "too big"),
        aiosmtplib.SMTPDataError(554, "5.6.0 not a message"),
        aiosmtplib.SMTPNotSupported("SMTPUTF8"),
    ],
)  # fmt: skip
def test_what_the_server_says_of_the_recipient_or_the_mail_is_permanent(error: Exception) -> None:
    assert classify_failure(error, 0).outcome == "refused"


@pytest.mark.parametrize(
    "error",
    [
        at_rcpt(504, "5.5.2 <vm>: Helo command rejected: need fully-qualified hostname"),
        at_rcpt(554, "5.7.1 <a@b.example>: Relay access denied"),
        at_rcpt(554, "5.7.1 <unknown[10.1.2.3]>: Client host rejected: Access denied"),
        at_rcpt(550, "5.1.8 <flex@flex.example>: Sender address rejected: Domain not found"),
        at_rcpt(550, "5.1.7 <flex@flex.example>: Sender address rejected: undeliverable address"),
        at_rcpt(550, "5.2.0 no"),
        aiosmtplib.SMTPDataError(
            554, "5.2.252 SendAsDenied; flex@flex.example not allowed to send as ops@flex.example"
        ),
        aiosmtplib.SMTPDataError(554, "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"),
        at_rcpt(530, "5.7.0 Must issue a STARTTLS command first"),
        at_rcpt(550, "relay not permitted"),  # Exim, which gives no enhanced codes
        at_rcpt(550, "no such user"),
        at_rcpt(550, "see 5.1.1 of our rules"),
        at_rcpt(451, "4.7.1 Greylisted"),
        at_rcpt(450, "4.1.1 mailbox 5.1.1"),
        aiosmtplib.SMTPDataError(554, "5.7.1 spam"),
        aiosmtplib.SMTPDataError(554, "spam"),
        aiosmtplib.SMTPDataError(451, "later"),
        aiosmtplib.SMTPSenderRefused(550, "5.1.1 who are you", "flex@flex.example"),
        aiosmtplib.SMTPHeloError(550, "who are you"),
        aiosmtplib.SMTPAuthenticationError(535, "5.7.8 wrong password"),
        aiosmtplib.SMTPServerDisconnected("gone"),
        aiosmtplib.SMTPReadTimeoutError("slow"),
        ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate"),
        ValueError("a surprise of a library"),
        TimeoutError(),
        OSError("unreachable"),
    ],
)
def test_errors_that_an_operator_can_fix_are_retried(error: Exception) -> None:
    assert classify_failure(error, 0).outcome == "deferred"


def test_waits_grow_and_end_after_three_days() -> None:
    waited_s, waits = 0.0, []
    while (attempt := classify_failure(OSError("away"), waited_s)).outcome == "deferred":
        waits.append(attempt.retry_s)
        waited_s += attempt.retry_s
    assert waits == sorted(waits)
    assert waits[:5] == [1, 2, 5, 10, 30], "a server that is restarted costs seconds"
    assert waits[-1] == 3600
    assert len(waits) < 100
    assert attempt.detail == "given up after 3 days: OSError: away"
