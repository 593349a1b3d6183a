"""What we read and write in Postgres. Levels come from the rollups; firings, banners and mails are ours."""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from flexcredits_schemas.alerts import AttemptOutcome, Resolution, Rule
from flexcredits_schemas.calendar import local_date
from flexcredits_schemas.events import PRODUCTS
from runtime.postgres import Connection, Pool, Tell, from_record, open_pool

from alerter.accounts import Account, Banner
from alerter.letter import Mail
from alerter.notices import Firing, Kind, identify_firing
from alerter.statements import SQL
from alerter.thresholds import Latest, Level, NewFiring, Period


def open_queues(dsn: str, tell: Tell | None = None) -> AbstractAsyncContextManager[Pool]:
    """Connections for the queues. These are empty at most times, and a plan for an empty table reads all of a full one, so
    none is kept."""
    return open_pool(dsn, application="alerter", size=6, statement_timeout_s=20, tell=tell, keep_plans=False)


class Recipient(NamedTuple):
    """`is_additional`: told because an admin put the address on the list, not for a role."""

    address: str
    is_additional: bool


class Request(NamedTuple):
    """A test, by mail to `recipient` or to a channel; or, with a firing, its failed mails again (recipient None: all of
    them)."""

    request_id: int
    organization_id: int
    kind: Literal["test", "resend", "channel_test"]
    rule: Rule
    firing_id: int | None
    recipient: str | None
    channel_id: int | None
    requested_at: datetime


class Attempt(NamedTuple):
    """How an attempt to send ended. `retry_s` counts only for deferred ones."""

    outcome: AttemptOutcome
    detail: str
    retry_s: float = 0.0


async def read_accounts(
    connection: Connection, organization_ids: Sequence[int] | None, begun_by: date, ended_after: date
) -> list[Account]:
    """Levels by both rules, firings and banners of these organizations (None: of all), for periods that end after a day."""
    accounts: dict[int, Account] = {}

    def account(number: int) -> Account:
        return accounts.setdefault(number, Account(number))

    statements: dict[Rule, str] = {"usage": SQL["select_levels"], "budget": SQL["select_budgets"]}
    for rule, statement in statements.items():
        for row in await connection.fetch(statement, organization_ids, begun_by, ended_after):
            if rule == "budget" and row["starts_on"] < local_date(row["saved_at"], row["time_zone"]).replace(day=1):
                continue
            level = Level(
                organization_id=row["organization_id"],
                time_zone=row["time_zone"],
                thresholds=row["thresholds"],
                period=Period(rule, row["contract_id"], row["period_id"]),
                starts_on=row["starts_on"],
                ends_on=row["ends_on"],
                available=row["available"],
                used=row["used"],
            )
            account(row["organization_id"]).levels.append(level)
    for row in await connection.fetch(SQL["select_firings"], organization_ids, ended_after):
        period = Period(row["rule"], row["contract_id"], row["period_id"])
        latest = Latest(episode=row["episode"], is_open=row["is_open"], fired_at=row["fired_at"])
        account(row["organization_id"]).latest[period][row["threshold"]] = latest
    for row in await connection.fetch(SQL["select_banners"], organization_ids):
        account(row["organization_id"]).banner = Banner(
            period=Period("usage", row["contract_id"], row["period_id"]),
            threshold=row["threshold"],
            episode=row["episode"],
            fired_at=row["fired_at"],
        )
    return list(accounts.values())


async def number_organizations(pool: Pool, names: Iterable[str]) -> list[int]:
    """Numbers of the organizations that are known."""
    return [row["organization_id"] for row in await pool.fetch(SQL["select_numbers"], sorted(names))]


async def list_organizations(pool: Pool) -> list[int]:
    """The numbers of all organizations."""
    return [row["organization_id"] for row in await pool.fetch(SQL["select_organizations"])]


async def lock_account(connection: Connection, organization_id: int, now: datetime) -> None:
    """Until the transaction ends nobody else changes this organization's firings. Read the levels after this."""
    if not await connection.fetchval(SQL["lock_state"], organization_id):
        await connection.execute(SQL["create_state"], organization_id, now)
        await connection.fetchval(SQL["lock_state"], organization_id)


async def adopt_firings(connection: Connection, organization_id: int) -> None:
    """A contract that was sent again with other ids for the same credit periods fires nothing again. Call it under the lock."""
    await connection.execute(SQL["displace_firings"], organization_id)
    await connection.execute(SQL["adopt_firings"], organization_id)


async def free_episode(connection: Connection, kind: Kind, organization: str, about: Firing) -> int:
    """The firing's episode, or the next one of which no notice has the id. Ids of adopted firings name the period in which
    they fired, and another period may have its id now."""
    episode = about.episode
    while await connection.fetchval(SQL["find_notice"], identify_firing(kind, organization, about, episode)):
        episode += 1
    return episode


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
) -> tuple[int, Firing]:
    """Returns the firing that this ends, and its number."""
    row = await connection.fetchrow(SQL["resolve_firing"], organization_id, *period, threshold, now, resolution)
    assert row is not None
    return row["firing_id"], Firing(
        period=period,
        starts_on=row["starts_on"],
        ends_on=row["ends_on"],
        threshold=threshold,
        episode=row["episode"],
        told=row["told"],
        fired_at=row["fired_at"],
    )


async def set_banner(connection: Connection, organization_id: int, banner: Banner | None) -> None:
    if banner is None:
        await connection.execute(SQL["lower_banner"], organization_id)
    else:
        await connection.execute(
            SQL["raise_banner"],
            organization_id, banner.period.contract_id, banner.period.period_id, banner.threshold, banner.episode,
            banner.fired_at,
        )  # fmt: skip


async def read_usage(connection: Connection, level: Level, today: date) -> dict[str, Any]:
    """Who the organization is, how its products stand in the level's period, and what used most. Micro-credits."""
    row = await connection.fetchrow(
        SQL["select_facts"],
        level.organization_id, level.period.contract_id, level.period.period_id, level.starts_on, level.ends_on,
    )  # fmt: skip
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


async def name_organization(connection: Connection, organization_id: int) -> dict[str, str]:
    row = await connection.fetchrow(SQL["select_name"], organization_id)
    assert row is not None
    return dict(row)


async def select_recipients(
    connection: Connection, organization_id: int, rule: Rule, *, billing_moderators: bool
) -> list[Recipient]:
    """Role holders, and whom the rule's settings add; nobody twice, however the address is written."""
    rows = await connection.fetch(SQL["select_recipients"], organization_id, billing_moderators, rule)
    return [from_record(Recipient, row) for row in rows]


async def insert_emails(
    connection: Connection,
    organization_id: int,
    firing_id: int,
    letters: Iterable[tuple[str, Recipient]],
    now: datetime,
) -> None:
    """Mails about a firing, which has the facts. `letters` are pairs of Message-ID and recipient."""
    rows = [(organization_id, firing_id, message_id, *recipient, now, None) for message_id, recipient in letters]
    await connection.executemany(SQL["insert_email"], rows)


async def insert_test_email(connection: Connection, request: Request, message_id: str, facts: dict[str, Any]) -> None:
    await connection.execute(
        SQL["insert_email"],
        request.organization_id, None, message_id, request.recipient, False, request.requested_at, json.dumps(facts),
    )  # fmt: skip


async def select_requesting(pool: Pool, after: int) -> list[int]:
    """Numbers of the organizations for which somebody asked for something, those behind number `after` first."""
    return [row["organization_id"] for row in await pool.fetch(SQL["select_requesting"], after)]


async def claim_request(connection: Connection, organization_id: int, without: Sequence[int]) -> Request | None:
    """What somebody asked for, none of the requests `without`. It comes back if the transaction fails."""
    row = await connection.fetchrow(SQL["claim_request"], organization_id, without)
    return None if row is None else from_record(Request, row)


async def resend_emails(connection: Connection, request: Request) -> None:
    """Make a firing's failed mails due again."""
    await connection.execute(SQL["resend_emails"], request.organization_id, request.firing_id, request.recipient)


async def claim_wakeups(connection: Connection, limit: int) -> set[int]:
    """All organizations that something changed for, with about `limit` of their wake-ups; 0 stands for all. They come
    back if the transaction fails."""
    return {row["organization_id"] for row in await connection.fetch(SQL["claim_wakeups"], limit)}


async def claim_mails(
    pool: Pool, limit: int, lease_s: float, running: Sequence[int], share: int, after: int = 0
) -> list[Mail]:
    """Mails of organizations behind number `after` that are due, and that nobody else sends for `lease_s` seconds. `running`
    has an organization for each mail in hand; with these none has more than `share`."""
    rows = await pool.fetch(SQL["claim_emails"], limit, lease_s, running, share, after)
    return [from_record(Mail, {**row, "facts": json.loads(row["facts"] or "{}")}) for row in rows]


async def settle_mail(pool: Pool, mail: Mail, attempt: Attempt) -> None:
    """Write down how the claimed attempt ended. Safe to repeat."""
    await pool.execute(SQL["settle_email"], mail.email_id, mail.attempt, *attempt)


async def count_pending_mails(pool: Pool) -> tuple[int, float]:
    """How many mails are not sent yet, and the age of the oldest in seconds."""
    row = await pool.fetchrow(SQL["count_pending_emails"])
    assert row is not None
    return row["pending"], row["oldest_s"]
