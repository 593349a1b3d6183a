"""Shared by the alerter's tests: an organization with a contract and usage, its firings and mails."""

import asyncio
import base64
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from alerter.evaluation.evaluator import Evaluator
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.infra.service_process import free_port

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MICRO = 1_000_000
ROLES = ("super_admin", "admin", "billing_moderator", "member")


def evaluator(pool: Pool, now: Callable[[], datetime] = lambda: NOW, *, billing_moderators: bool = True) -> Evaluator:
    return Evaluator(pool, billing_moderator_enabled=billing_moderators, mail_domain="flex.example", now=now)


@dataclass
class Customer:
    """An organization, with rows as the aggregator writes them."""

    db: TableRows
    number: int

    async def use(self, credits: float, day: str = "2026-11-20", product: str = "assistant") -> None:
        """Add usage; a negative amount is a correction."""
        await self.db.use(
            self.number, product, "tool" if product != "api" else "namespace", "search", day, round(credits * MICRO)
        )

    async def set_total(self, total: int | None, contract: str = "c1", period: str = "p1") -> None:
        await self.db.execute(
            "UPDATE credit_periods SET total = $1 WHERE organization_id = $2 AND contract_id = $3 AND credit_period_id = $4",
            None if total is None else total * MICRO, self.number, contract, period,
        )  # fmt: skip

    async def set_thresholds(self, *thresholds: int) -> None:
        await self.save(usage_thresholds=list(thresholds))

    async def set_budget(self, credits: float | None, **settings: Any) -> None:
        """Set the recurring budget; None removes it."""
        micro = None if credits is None else round(credits * MICRO)
        await self.save(
            **{"budget_recurring_credits": micro, "budget_once_credits": None, "budget_once_month": None} | settings
        )

    async def set_budget_once(self, credits: float, month: str) -> None:
        """Set a budget for one month, such as 2026-11. A recurring budget applies again after it."""
        await self.save(budget_once_credits=round(credits * MICRO), budget_once_month=date.fromisoformat(f"{month}-01"))

    async def save(self, at: datetime = NOW, **settings: Any) -> None:
        """Save settings as the query API does, with a wake-up in the same statement. Other settings keep their values."""
        columns, places = ", ".join(settings), ", ".join(f"${number}" for number in range(3, 3 + len(settings)))
        changes = ", ".join(f"{name} = excluded.{name}" for name in settings)
        await self.db.execute(
            f"WITH saved AS (INSERT INTO alert_settings AS s (organization_id, updated_at, {columns}) VALUES ($1, $2, {places})"
            f" ON CONFLICT (organization_id) DO UPDATE SET updated_at = excluded.updated_at, version = s.version + 1, {changes})"
            " INSERT INTO alert_wakeups (organization_id) VALUES ($1)",
            self.number, at, *settings.values(),
        )  # fmt: skip


async def make_customer(
    db: TableRows, name: str = "org_acme", time_zone: str = "UTC", *, total: int | None = 100, billing_moderators: bool = True,
    starts_on: str = "2026-07-15", ends_on: str = "2027-01-15", members: bool = True,
) -> Customer:  # fmt: skip
    """An organization with one credit period and a member of each role."""
    number = await db.organization(name, time_zone, billing_moderators=billing_moderators)
    await db.contract(number, "c1", starts_on, ends_on)
    await db.period(number, "c1", "p1", starts_on, ends_on, total=total)
    for role in ROLES if members else ():
        await db.execute(
            "INSERT INTO members VALUES ($1, $2, $3, $3, false, now(), 0)",
            number,
            f"{role}@{name.replace('_', '-')}.example",
            role,
        )
    return Customer(db, number)


async def add_channel(
    acme: Customer, url: str, kind: str = "webhook", content_type: str = "application/json"
) -> tuple[int, str]:
    """Insert a channel as the query API does; returns its id and signing secret."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    number: int = await acme.db.count(
        "INSERT INTO alert_channels (organization_id, kind, name, masked_url, url, signing_secret, created_by, content_type)"
        " VALUES ($1, $2, 'Ops', $3, $3, $4, 'ada', $5) RETURNING channel_id",
        acme.number, kind, url, secret if kind == "webhook" else None, content_type,
    )  # fmt: skip
    return number, secret


async def firings(connection: Connection | Pool, number: int, rule: str = "usage") -> list[tuple[Any, ...]]:
    """Threshold, episode, notification and resolution of each firing, oldest first."""
    rows = await connection.fetch(
        "SELECT threshold, episode, notification, resolution FROM alert_firings WHERE organization_id = $1 AND rule = $2"
        " ORDER BY firing_id",
        number, rule,
    )  # fmt: skip
    return [tuple(row) for row in rows]


async def banner(connection: Connection | Pool, number: int) -> tuple[Any, ...] | None:
    row = await connection.fetchrow("SELECT threshold, episode FROM banners WHERE organization_id = $1", number)
    return tuple(row) if row else None


async def outbox(connection: Connection | Pool, number: int) -> list[tuple[Any, ...]]:
    """Threshold and recipient of every mail."""
    rows = await connection.fetch(
        "SELECT f.threshold, e.recipient FROM email_outbox e JOIN alert_firings f USING (firing_id)"
        " WHERE e.organization_id = $1 ORDER BY f.firing_id, e.recipient",
        number,
    )
    return [tuple(row) for row in rows]


async def age(connection: Connection | Pool, by: timedelta) -> None:
    """Advance the outboxes by `by`: items that are due after `by` are due now."""
    for outbox in ("email_outbox", "alert_deliveries"):
        await connection.execute(
            f"UPDATE {outbox} SET due_at = due_at - $1::interval, pending_since = pending_since - $1::interval"
            " WHERE state = 'pending'",
            by,
        )


class Hearing(SMTP):
    """Records every line that the client sent, in clear or decrypted."""

    def data_received(self, data: bytes) -> None:
        self.event_handler.heard += data.splitlines()
        super().data_received(data)


@dataclass
class Script:
    """A real SMTP server with scripted answers. It records the mails that it accepted."""

    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    refuse: dict[str, str] = field(default_factory=dict)
    """Answer to RCPT by address."""
    answer_data: Callable[[int], str] | None = None
    """Answer to the nth DATA, from 1. `drop` ends the connection after the mail was accepted."""
    hold: asyncio.Event | None = None
    """The server answers DATA only while this is set."""
    got: list[tuple[str, str]] = field(default_factory=list)
    """Recipient and Message-ID of every accepted mail, including copies."""
    contents: list[bytes] = field(default_factory=list)
    holding: int = 0
    tls: ssl.SSLContext | None = None
    """TLS from the first byte."""
    smtp: dict[str, Any] = field(default_factory=dict)
    """More arguments of the server, such as its context for STARTTLS."""
    heard: list[bytes] = field(default_factory=list)
    """Every line that the client sent."""
    encrypted: list[bool] = field(default_factory=list)
    """Content of every accepted mail."""
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        def build() -> SMTP:
            return Hearing(self, hostname="localhost", **{"enable_SMTPUTF8": True, **self.smtp})

        self._server = await asyncio.get_running_loop().create_server(build, self.host, self.port, ssl=self.tls)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.contents.append(envelope.original_content or b"")
        content = self.contents[-1].decode()
        message_id = next(line for line in content.splitlines() if line.startswith("Message-ID:"))
        message_id = message_id.partition(":")[2].strip()
        self.encrypted.append(session.ssl is not None or self.tls is not None)
        self.got += [(recipient, message_id) for recipient in envelope.rcpt_tos]
        if self.hold:
            self.holding += 1
            await self.hold.wait()
        answer = self.answer_data(len(self.got)) if self.answer_data else "250 taken"
        if answer == "drop":
            assert server.transport is not None
            server.transport.abort()
        elif not answer.startswith("250"):
            self.got = self.got[: -len(envelope.rcpt_tos)]
        return answer if answer != "drop" else "250 never heard"


@asynccontextmanager
async def smtp_server(**script: Any) -> AsyncIterator[Script]:
    server = Script(**script)
    await server.start()
    try:
        yield server
    finally:
        if server.hold:
            server.hold.set()
        await server.stop()
