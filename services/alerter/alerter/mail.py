"""The outbox of mails -> a mail server."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

import aiosmtplib
import structlog
from pydantic import SecretStr
from runtime.postgres import Pool
from runtime.tracing import TRACEPARENT, PassOn, Tracing

from alerter.letter import Letterhead, Mail, write_letter
from alerter.metrics import MAIL_OLDEST_SECONDS, MAIL_SECONDS, MAILS, MAILS_PENDING
from alerter.outbox import LEASE_S, Outbox, brief, put_off
from alerter.store import Attempt, claim_mails, count_pending_mails, settle_mail

log = structlog.get_logger()

AT_ONCE = 8
"""Mails that one process sends side by side, each on a connection of its own."""


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


class Mailer(Outbox[Mail]):
    """Sends the mails of the outbox."""

    def __init__(self, pool: Pool, server: MailServer, letterhead: Letterhead, tracing: Tracing | None = None) -> None:
        self._tracing = tracing or PassOn()
        self._pool = pool
        self._server = server
        self._letterhead = letterhead

    async def claim(self) -> Sequence[Mail]:
        return await claim_mails(self._pool, AT_ONCE, LEASE_S)

    async def send(self, item: Mail) -> Attempt:
        with self._tracing.span("send mail", "client", [item.facts.get(TRACEPARENT, "")], attempt=item.attempt) as span:
            attempt = await self._try(item)
            span.note(outcome=attempt.outcome, message_id=item.message_id)
        return attempt

    async def _try(self, item: Mail) -> Attempt:
        try:
            letter = write_letter(item, self._letterhead)
            [to] = letter["To"].addresses
            return Attempt("sent", brief(await self._server.send(letter, self._letterhead.sender, to.addr_spec)))
        except ValueError as error:
            return Attempt("refused", brief(f"no mail can be addressed to this: {error}"))
        except (aiosmtplib.SMTPException, OSError) as error:
            return judge_failure(error, item.waited_s)

    def tell(self, item: Mail, attempt: Attempt) -> None:
        MAILS.labels(attempt.outcome).inc()
        if attempt.outcome == "sent":
            MAIL_SECONDS.observe((datetime.now(UTC) - item.created_at).total_seconds())
        told = log.info if attempt.outcome == "sent" else log.warning
        told(
            "mail", outcome=attempt.outcome, organization=item.facts.get("organization"), message_id=item.message_id,
            attempt=item.attempt, detail=attempt.detail,
        )  # fmt: skip

    async def settle(self, item: Mail, attempt: Attempt) -> None:
        await settle_mail(self._pool, item, attempt)

    async def measure(self) -> None:
        """Tell the metrics what waits."""
        pending, oldest_s = await count_pending_mails(self._pool)
        MAILS_PENDING.set(pending)
        MAIL_OLDEST_SECONDS.set(oldest_s)


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
    return put_off(detail, waited_s)


def describe(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return "; ".join(describe(each) for each in error.recipients)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    return f"{type(error).__name__}: {error}" if str(error) else "the mail server took too long"
