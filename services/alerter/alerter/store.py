"""What we read and write in Postgres. Levels come from the rollups; firings, banners and mails are ours."""

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from runtime.postgres import Connection, Pool, load_sql

from alerter.accounts import Account, Banner
from alerter.thresholds import Latest, Level, NewFiring, Period, Resolution

SQL = load_sql("alerter")
PRODUCTS = ("assistant", "agents", "api")


class Mail(NamedTuple):
    """A mail that this process has claimed. `facts` are those of its firing."""

    email_id: int
    message_id: str
    recipient: str
    created_at: datetime
    attempt: int
    facts: dict[str, Any]


class Attempt(NamedTuple):
    """How an attempt to send ended. `retry_s` counts only for deferred ones."""

    outcome: str  # sent | deferred | refused
    detail: str
    retry_s: float = 0.0


async def read_accounts(
    connection: Connection, organization_ids: Sequence[int] | None, begun_by: date, ended_after: date
) -> list[Account]:
    """Levels, firings and banners of these organizations (None: of all), for periods that end after a day."""
    accounts: dict[int, Account] = {}

    def account(number: int) -> Account:
        return accounts.setdefault(number, Account(number))

    for row in await connection.fetch(SQL["select_levels"], organization_ids, begun_by, ended_after):
        organization_id, time_zone, thresholds, contract_id, period_id, *rest = row
        level = Level(organization_id, time_zone, thresholds, Period(contract_id, period_id), *rest)
        account(organization_id).levels.append(level)
    for row in await connection.fetch(SQL["select_firings"], organization_ids, ended_after):
        organization_id, contract_id, period_id, threshold, *latest = row
        account(organization_id).latest[Period(contract_id, period_id)][threshold] = Latest(*latest)
    for row in await connection.fetch(SQL["select_banners"], organization_ids):
        organization_id, contract_id, period_id, *banner = row
        account(organization_id).banner = Banner(Period(contract_id, period_id), *banner)
    return list(accounts.values())


async def number_organizations(pool: Pool, names: Iterable[str]) -> list[int]:
    """Numbers of the organizations that are known."""
    return [row["organization_id"] for row in await pool.fetch(SQL["select_numbers"], sorted(names))]


async def lock_account(connection: Connection, organization_id: int, now: datetime) -> None:
    """Until the transaction ends nobody else changes this organization's firings. Read the levels after this."""
    if not await connection.fetchval(SQL["lock_state"], organization_id):
        await connection.execute(SQL["create_state"], organization_id, now)
        await connection.fetchval(SQL["lock_state"], organization_id)


async def mark_settled(connection: Connection, organization_id: int, now: datetime) -> None:
    await connection.execute(SQL["mark_settled"], organization_id, now)


async def insert_firing(
    connection: Connection, level: Level, firing: NewFiring, now: datetime, facts: dict[str, Any] | None
) -> int:
    """Returns the firing's number."""
    number: int = await connection.fetchval(
        SQL["insert_firing"],
        level.organization_id, *level.period, firing.threshold, firing.episode, level.starts_on, level.ends_on, now,
        level.used, level.available, firing.told, None if facts is None else json.dumps(facts),
    )  # fmt: skip
    return number


async def resolve_firing(
    connection: Connection, organization_id: int, period: Period, threshold: int, resolution: Resolution, now: datetime
) -> None:
    await connection.execute(SQL["resolve_firing"], organization_id, *period, threshold, now, resolution)


async def set_banner(connection: Connection, organization_id: int, banner: Banner | None) -> None:
    if banner is None:
        await connection.execute(SQL["lower_banner"], organization_id)
    else:
        await connection.execute(SQL["raise_banner"], organization_id, *banner.period, *banner[1:])


async def read_facts(connection: Connection, level: Level, today: date) -> dict[str, Any]:
    """Who the organization is, how its products stand in the level's period, and what used most. Micro-credits."""
    row = await connection.fetchrow(SQL["select_facts"], level.organization_id, *level.period)
    assert row is not None
    drivers = await connection.fetch(
        SQL["select_drivers"], level.organization_id, level.starts_on, level.ends_on, today
    )
    return {
        "organization": row["organization"],
        "name": row["name"],
        "products": [
            {"product": product, "contracted": row[product], "used": row[f"{product}_used"]} for product in PRODUCTS
        ],
        "drivers": [dict(driver) for driver in drivers],
    }


async def select_recipients(connection: Connection, organization_id: int, billing_moderators: bool) -> list[str]:
    rows = await connection.fetch(SQL["select_recipients"], organization_id, billing_moderators)
    return [row["recipient"] for row in rows]


async def insert_emails(
    connection: Connection, organization_id: int, firing_id: int, letters: Iterable[tuple[str, str]], now: datetime
) -> None:
    """`letters` are pairs of Message-ID and recipient."""
    rows = [(organization_id, firing_id, message_id, recipient, now) for message_id, recipient in letters]
    await connection.executemany(SQL["insert_email"], rows)


async def claim_wakeups(connection: Connection, limit: int) -> set[int]:
    """Organizations that something changed for; 0 stands for all. They come back if the transaction fails."""
    return {row["organization_id"] for row in await connection.fetch(SQL["claim_wakeups"], limit)}


async def claim_mails(pool: Pool, limit: int, lease_s: float) -> list[Mail]:
    """Mails that are due and that nobody else sends for `lease_s` seconds."""
    rows = await pool.fetch(SQL["claim_emails"], limit, lease_s)
    return [Mail._make((*row[:5], json.loads(row["facts"]))) for row in rows]


async def settle_mail(pool: Pool, mail: Mail, attempt: Attempt) -> None:
    """Write down how the claimed attempt ended. Safe to repeat."""
    await pool.execute(SQL["settle_email"], mail.email_id, mail.attempt, *attempt)


async def count_pending_mails(pool: Pool) -> tuple[int, float]:
    """How many mails are not sent yet, and the age of the oldest in seconds."""
    row = await pool.fetchrow(SQL["count_pending_emails"])
    assert row is not None
    return row["pending"], row["oldest_s"]
