"""The outbox -> a mail server. A mail is claimed for longer than sending may take, so two processes never send it at once."""

import asyncio
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from ipaddress import ip_address
from itertools import accumulate
from pathlib import Path
from typing import Literal

import aiosmtplib
import structlog
from pydantic import SecretStr
from runtime.postgres import Pool, passing_failure

from alerter.letter import Letterhead, Mail, write_letter
from alerter.metrics import MAIL_OLDEST_SECONDS, MAIL_SECONDS, MAILS, MAILS_PENDING
from alerter.store import Attempt, claim_mails, count_pending_mails, settle_mail

log = structlog.get_logger()

AT_ONCE = 8
"""Mails that one process sends side by side, each on a connection of its own."""
ROUNDS_FOR_S = 10.0
"""A backlog is sent in rounds for so long at a time: a mail server that hangs must not look like a timer that stopped."""
LEASE_S = 60.0
"""Longer than sending and writing down may take together; a mail that a dead process had claimed is due again then."""
RETRY_S = (1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600)
"""Waits between attempts, by how long a mail has waited; the last one repeats. A server that was restarted, and
greylisting, cost seconds to minutes."""
GIVE_UP_AFTER_S = 72 * 3600.0
DETAIL_CHARACTERS_MAX = 500


@dataclass(frozen=True)
class MailServer:
    """Where mail goes, and how it gets there."""

    host: str
    port: int
    tls: Literal["offered", "required", "implicit"]
    """STARTTLS where the server offers it, STARTTLS or nothing, or TLS from the first byte (RFC 8314)."""
    username: str | None
    password: SecretStr
    send_within_s: float = 20.0
    answer_within_s: float = 10.0
    """For connecting, and for each answer of the server."""
    ca_file: Path | None = None
    """PEM file of the authorities that sign its certificate; the system's without it."""

    @property
    def is_local(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    async def send(self, letter: EmailMessage, sender: str, recipient: str) -> str:
        """Hand a letter over; returns the server's last word.

        Raises aiosmtplib.SMTPException, OSError, TimeoutError; ValueError for an address that no server takes.
        """
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            local_hostname=socket.gethostname(),  # the default asks the DNS, and blocks
            use_tls=self.tls == "implicit",
            start_tls={"offered": None, "required": True, "implicit": False}[self.tls],
            # STARTTLS on this machine would compare a certificate with an address that no authority signs.
            validate_certs=not (self.is_local and self.tls == "offered"),
            cert_bundle=str(self.ca_file) if self.ca_file else None,
            username=self.username,
            password=self.password.get_secret_value() if self.username else None,
            timeout=self.answer_within_s,
        )
        try:
            async with asyncio.timeout(self.send_within_s):
                await client.connect()
                _, answer = await client.send_message(letter, sender=sender, recipients=[recipient])
            with suppress(aiosmtplib.SMTPException, OSError):  # it has the mail, however this ends
                await client.quit(timeout=1)
        finally:
            client.close()
        return answer


class Mailer:
    """Sends what the outbox holds."""

    def __init__(self, pool: Pool, server: MailServer, letterhead: Letterhead) -> None:
        self._pool = pool
        self._server = server
        self._letterhead = letterhead

    async def send_due(self) -> int:
        """Send the mails that are due, in rounds, for a while; returns how many attempts were made."""
        attempts, began = 0, time.monotonic()
        while time.monotonic() - began < ROUNDS_FOR_S and (mails := await claim_mails(self._pool, AT_ONCE, LEASE_S)):
            await asyncio.gather(*(self._attempt(mail) for mail in mails))
            attempts += len(mails)
        return attempts

    async def measure(self) -> None:
        """Tell the metrics what waits."""
        pending, oldest_s = await count_pending_mails(self._pool)
        MAILS_PENDING.set(pending)
        MAIL_OLDEST_SECONDS.set(oldest_s)

    async def _attempt(self, mail: Mail) -> None:
        claimed_at = time.monotonic()
        attempt = await self._send(mail)
        MAILS.labels(attempt.outcome).inc()
        if attempt.outcome == "sent":
            MAIL_SECONDS.observe((datetime.now(UTC) - mail.created_at).total_seconds())
        told = log.info if attempt.outcome == "sent" else log.warning
        told("mail", outcome=attempt.outcome, message_id=mail.message_id, attempt=mail.attempt, detail=attempt.detail)
        await self._write_down(mail, attempt, claimed_at + LEASE_S)

    async def _send(self, mail: Mail) -> Attempt:
        try:
            letter = write_letter(mail, self._letterhead)
            return Attempt("sent", brief(await self._server.send(letter, self._letterhead.sender, mail.recipient)))
        except ValueError as error:
            return Attempt("refused", brief(f"no mail can be addressed to this: {error}"))
        except (aiosmtplib.SMTPException, OSError) as error:
            return judge_failure(error, mail.waited_s)

    async def _write_down(self, mail: Mail, attempt: Attempt, deadline: float) -> None:
        """While Postgres is away, try again until the claim runs out: a sent mail that is not written down goes out twice."""
        while True:
            try:
                return await settle_mail(self._pool, mail, attempt)
            except Exception as error:
                if passing_failure(error) is None or time.monotonic() > deadline:
                    raise
                log.warning(
                    "mail not written down yet", message_id=mail.message_id, reason=f"{type(error).__name__}: {error}"
                )
            await asyncio.sleep(0.5)


def judge_failure(error: Exception, waited_s: float) -> Attempt:
    """Deferred, unless the server refuses this recipient or this mail for good, or it has waited for too long.

    RFC 5321: 5xx is permanent. A 5xx to our login or sender is about us, not about the mail: somebody can mend it.
    """
    detail = brief(describe(error))
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[refusal]) if refusal.code >= 500:
            return Attempt("refused", detail)
        case aiosmtplib.SMTPDataError(code=code) if code >= 500:
            return Attempt("refused", detail)
        case aiosmtplib.SMTPNotSupported():  # such as an address beyond ASCII at a server that knows none
            return Attempt("refused", detail)
    if waited_s > GIVE_UP_AFTER_S:
        return Attempt("refused", f"given up after {GIVE_UP_AFTER_S / 86400:.0f} days: {detail}")
    return Attempt("deferred", detail, next_wait_s(waited_s))


def next_wait_s(waited_s: float) -> float:
    """The wait after an attempt of a mail that has waited for so long."""
    return next(
        (wait for wait, until in zip(RETRY_S, accumulate(RETRY_S), strict=True) if waited_s < until), RETRY_S[-1]
    )


def describe(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return "; ".join(describe(each) for each in error.recipients)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    return f"{type(error).__name__}: {error}" if str(error) else "the mail server took too long"


def brief(text: str) -> str:
    """A server's words on one line: they are shown to people, and Postgres takes no NUL."""
    return " ".join(text.replace("\0", " ").split())[:DETAIL_CHARACTERS_MAX]
