"""Sends the outbox of mails to a mail server."""

import asyncio
import ssl
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

import aiosmtplib
import structlog
from pydantic import SecretStr
from runtime.observability.tracing import TRACEPARENT, Tracing
from runtime.postgres.pool import Pool

from alerter.db.email_queries import claim_mails, count_pending_mails, record_mail_result
from alerter.domain.attempts import Attempt, truncate
from alerter.domain.mails import Mail
from alerter.email.message import MailConfig, NotAnAddress, address, write_message
from alerter.email.refusals import classify_failure
from alerter.metrics import MAIL_OLDEST_SECONDS, MAIL_SECONDS, MAILS, MAILS_PENDING
from alerter.queues.outbox import LEASE_S, Outbox

log = structlog.get_logger()

PENDING_MAX = 10_000
"""Largest number of unsent mails that the metric shows: to count more would take longer for no better decision."""
TLS_FOR_S = 60.0
"""Seconds for which connections trust the same authorities. Then their files, which may have been replaced, are read again."""
AT_ONCE = 8
"""Mails that one process sends at the same time, each on its own connection."""


@dataclass(frozen=True)
class MailServer:
    """A mail server, and how to connect to it."""

    host: str
    port: int
    tls: Literal["offered", "required", "implicit"]
    """STARTTLS if the server offers it, required STARTTLS, or TLS from the first byte (RFC 8314)."""
    username: str | None
    password: SecretStr
    send_within_s: float = 20.0
    answer_within_s: float = 10.0
    """Time limit in seconds for connecting, and for each answer of the server."""
    ca_file: Path | None = None
    """PEM file of the authorities that sign its certificate. Default: the system's authorities."""
    helo_name: str = "localhost"
    """The alerter's name in EHLO. Many servers require a fully qualified name."""
    strict_certificates: bool = sys.version_info >= (3, 13)
    """Check certificates strictly (RFC 5280), as Python does by default from 3.13 on."""

    @property
    def is_local(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    async def send(self, message: EmailMessage, sender: str, recipient: str) -> str:
        """Send a message; returns the server's last answer.

        Raises aiosmtplib.SMTPException, OSError, TimeoutError. After STARTTLS, aiosmtplib does not wrap
        ssl.SSLCertVerificationError, which is an OSError and a ValueError.
        """
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            local_hostname=self.helo_name,  # the default is a DNS query that blocks
            use_tls=self.tls == "implicit",
            start_tls={"offered": None, "required": True, "implicit": False}[self.tls],
            tls_context=await asyncio.to_thread(self._open_tls),
            username=self.username,
            password=self.password.get_secret_value() if self.username else None,
            timeout=self.answer_within_s,
        )
        try:
            async with asyncio.timeout(self.send_within_s):
                await client.connect()
                _, answer = await client.send_message(message, sender=sender, recipients=[recipient])
            with suppress(aiosmtplib.SMTPException, OSError):  # the server has accepted the mail already
                await client.quit(timeout=1)
        finally:
            client.close()
        return answer

    def _open_tls(self) -> ssl.SSLContext:
        return open_tls(self, int(time.monotonic() / TLS_FOR_S))


@lru_cache(maxsize=4)
def open_tls(server: MailServer, _period: int) -> ssl.SSLContext:
    """What connections to the server trust in a period of TLS_FOR_S. Kept, since the system's authorities take 40 ms to read."""
    context = ssl.create_default_context()
    if server.ca_file:
        context.load_verify_locations(server.ca_file)
    if server.strict_certificates:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    if server.is_local and server.tls == "offered":
        # No certificate check: no authority signs certificates for local addresses.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Mailer(Outbox[Mail]):
    """Sends the mails of the outbox."""

    def __init__(self, pool: Pool, server: MailServer, config: MailConfig, tracing: Tracing | None = None) -> None:
        super().__init__(pool, "mail", AT_ONCE)
        self._tracing = tracing or Tracing()
        self._server = server
        self._config = config

    async def claim(self, limit: int, running: Sequence[int], after: int) -> Sequence[Mail]:
        return await claim_mails(self._pool, limit, LEASE_S, running, self.share, after)

    def number(self, item: Mail) -> int:
        return item.email_id

    def waited_s(self, item: Mail) -> float:
        return item.waited_s

    async def send(self, item: Mail) -> Attempt:
        with self._tracing.span(
            "send mail", "client", [item.context.get(TRACEPARENT, "")], attempt=item.attempt
        ) as span:
            attempt = await self._try(item)
            span.note(outcome=attempt.outcome, message_id=item.message_id)
        return attempt

    async def _try(self, item: Mail) -> Attempt:
        try:
            to = address(item.recipient)
        except NotAnAddress as error:  # only this error means that no server can accept the address
            return Attempt("refused", truncate(f"this is not an email address: {error}"))
        message = write_message(item, self._config)
        [sender] = message["From"].addresses
        try:
            return Attempt("sent", truncate(await self._server.send(message, sender.addr_spec, to.addr_spec)))
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return classify_failure(error, item.waited_s)

    def report(self, item: Mail, attempt: Attempt) -> None:
        MAILS.labels(attempt.outcome).inc()
        if attempt.outcome == "sent":
            MAIL_SECONDS.observe((datetime.now(UTC) - item.created_at).total_seconds())
        log_attempt = log.info if attempt.outcome == "sent" else log.warning
        log_attempt(
            "mail", outcome=attempt.outcome, organization=item.context.get("organization"), message_id=item.message_id,
            attempt=item.attempt, detail=attempt.detail,
        )  # fmt: skip

    async def record_result(self, item: Mail, attempt: Attempt) -> None:
        await record_mail_result(self._pool, item, attempt)

    async def measure(self) -> None:
        """Set the metrics of pending mails."""
        pending, oldest_s = await count_pending_mails(self._pool, PENDING_MAX)
        MAILS_PENDING.set(pending)
        MAIL_OLDEST_SECONDS.set(oldest_s)
