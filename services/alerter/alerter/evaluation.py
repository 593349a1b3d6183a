"""Levels -> firings, banner and mails. A look nominates organizations, and settling one decides again under its lock."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from runtime.postgres import Connection, Pool, passing_failure

from alerter.accounts import Account, Decision, decide
from alerter.metrics import FIRINGS, LOOK_SECONDS, RESOLVED, WAKEUPS
from alerter.store import (
    insert_emails,
    insert_firing,
    lock_account,
    mark_settled,
    read_accounts,
    read_facts,
    resolve_firing,
    select_recipients,
    set_banner,
)
from alerter.thresholds import Level, NewFiring, Period, standing_of

log = structlog.get_logger()

LIVELY = timedelta(days=5)
"""Periods that ended longer ago can neither mail nor raise a banner, in whatever zone: only the rollover reads them."""


class Evaluator:
    """Makes firings, banners and mails agree with the levels in Postgres; any number of them may run at once."""

    def __init__(
        self, pool: Pool, *, billing_moderator_enabled: bool, mail_domain: str, now: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._billing_moderator_enabled = billing_moderator_enabled
        self._mail_domain = mail_domain
        self._now = now

    async def look(self, organization_ids: Sequence[int] | None, *, by: str, history: bool = False) -> int:
        """Settle those of the organizations (None: of all) for whom something has to change; returns how many.

        `history` includes periods that ended long ago. Repeating it changes nothing. A passing failure at one of them
        keeps nobody else waiting; it is raised when the others are done.
        """
        began, now = time.monotonic(), self._now()
        async with self._pool.acquire() as connection:
            accounts = await read_accounts(connection, organization_ids, *horizon(now, history))
        due = [account.organization_id for account in accounts if decide(account, now)]
        failure: Exception | None = None
        for organization_id in due:
            try:
                await self.settle(organization_id, history=history)
            except Exception as error:
                if passing_failure(error) is None:
                    raise
                failure = error
        if failure:
            raise failure
        WAKEUPS.labels(by).inc(len(accounts))
        LOOK_SECONDS.labels(by).observe(time.monotonic() - began)
        return len(due)

    async def settle(self, organization_id: int, *, history: bool = False) -> None:
        """Decide and write in one transaction. The levels are read after the lock is held, so they are never older
        than what another evaluation has acted on."""
        async with self._pool.acquire() as connection, connection.transaction():
            now = self._now()
            await lock_account(connection, organization_id, now)
            for account in await read_accounts(connection, [organization_id], *horizon(now, history)):
                await self._apply(connection, account, decide(account, now), now)

    async def _apply(self, connection: Connection, account: Account, decision: Decision, now: datetime) -> None:
        for period, verdict in decision.verdicts.items():
            level = decision.levels.get(period)
            for threshold, resolution in verdict.resolve:
                await resolve_firing(connection, account.organization_id, period, threshold, resolution, now)
                RESOLVED.labels(resolution).inc()
                log.info("resolved", organization_id=account.organization_id, period=period, threshold=threshold)
            for firing in verdict.fire:
                assert level is not None
                await self._fire(connection, level, firing, now)
        if decision.banner != account.banner:
            await set_banner(connection, account.organization_id, decision.banner)
        if decision:
            await mark_settled(connection, account.organization_id, now)

    async def _fire(self, connection: Connection, level: Level, firing: NewFiring, now: datetime) -> None:
        facts = await self._gather_facts(connection, level, firing, now) if firing.told == "mail" else None
        firing_id = await insert_firing(connection, level, firing, now, facts)
        recipients: list[str] = []
        if facts is not None:
            recipients = await select_recipients(connection, level.organization_id, self._billing_moderator_enabled)
            letters = [(self._message_id(facts["organization"], level.period, firing, to), to) for to in recipients]
            await insert_emails(connection, level.organization_id, firing_id, letters, now)
        FIRINGS.labels(firing.told).inc()
        log.info(
            "fired", organization_id=level.organization_id, period=level.period, threshold=firing.threshold,
            episode=firing.episode, told=firing.told, recipients=len(recipients),
        )  # fmt: skip

    async def _gather_facts(
        self, connection: Connection, level: Level, firing: NewFiring, now: datetime
    ) -> dict[str, Any]:
        """Everything that the mail says, as of now: it says the same whenever it is sent."""
        zone = ZoneInfo(level.time_zone)
        return await read_facts(connection, level, now.astimezone(zone).date()) | {
            "threshold": firing.threshold,
            "used": level.used,
            "available": level.available,
            "period": {"id": level.period.period_id, "from": f"{level.starts_on}", "to": f"{level.ends_on}"},
            "ended": standing_of(level, now) != "current",
            "time_zone": level.time_zone,
            "at": now.astimezone(zone).isoformat(timespec="seconds"),
        }

    def _message_id(self, organization: str, period: Period, firing: NewFiring, recipient: str) -> str:
        """The same for the same firing and person, also if Postgres were restored to an earlier point (RFC 5322)."""
        parts = [organization, "usage", *period, str(firing.threshold), str(firing.episode), recipient]
        digest = blake2b(b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts), digest_size=16)
        return f"<alert.{digest.hexdigest()}@{self._mail_domain}>"


def horizon(now: datetime, history: bool) -> tuple[date, date]:
    """The latest day on which a period may have begun, in any zone, and the day after which it must end."""
    today = now.astimezone(UTC).date()
    return today + timedelta(days=1), date.min if history else today - LIVELY
