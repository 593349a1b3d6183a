"""Checks alerts against the log after faults: O7, every threshold that usage met fired once; O8, each recipient was notified.

For runs in which usage only grows, in one credit period, under the default thresholds and with one contract each.
"""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import asyncpg
from support.infra.stack import Topics
from support.invariants.log import Log, add_up, read_log

THRESHOLDS = (75, 90, 100)
NOTIFIED_ROLES = ("super_admin", "admin")


class Customer(NamedTuple):
    """Contracted micro-credits, and addresses that get mail."""

    allowance: int
    recipients: set[str]


def read_customers(catalog: Log) -> dict[str, Customer]:
    """Each organization's contract and recipients, from the catalog topic."""
    customers: dict[str, Customer] = {}
    for value in (value for values in catalog.values() for value in values):
        event = json.loads(value or b"")
        name, data = event["subject"], event["data"]
        known = customers.get(name, Customer(0, set()))
        if event["type"] == "flexcredits.contract.v1":
            [period] = data["credit_periods"]
            known = known._replace(allowance=int(Decimal(period["total"]) * 1_000_000))
        elif event["type"] == "flexcredits.member.v1" and data["role"] in NOTIFIED_ROLES:
            known = known._replace(recipients=known.recipients | {data["email"]})
        customers[name] = known
    return customers


async def find_alert_violations(
    topics: Topics, dsn: str, got: Sequence[tuple[str, str]], copies_max: int = 0
) -> list[str]:
    """Violations in firings, banners and mails. `got` has recipient and Message-ID of every mail that the mail server
    accepted. `copies_max` is how many of its answers may have been lost."""
    levels: Counter[str] = Counter()
    for (name, *_), micro in add_up(await read_log(topics.bootstrap, topics.usage_events)).credits.items():
        levels[name] += micro
    customers = read_customers(await read_log(topics.bootstrap, topics.catalog))
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        found = await check_firings(connection, levels, customers)
        return found + await check_mails(connection, customers, got, copies_max)
    finally:
        await connection.close()


async def check_firings(
    connection: "asyncpg.Connection[asyncpg.Record]", levels: Counter[str], customers: dict[str, Customer]
) -> list[str]:
    met = {
        name: [threshold for threshold in THRESHOLDS if levels[name] * 100 >= at.allowance * threshold]
        for name, at in customers.items()
    }
    rows = await connection.fetch(
        "SELECT o.organization, f.* FROM alert_firings f JOIN organizations o USING (organization_id) WHERE f.rule = 'usage'"
    )
    fired = Counter((row["organization"], row["threshold"]) for row in rows)
    expected = Counter((name, threshold) for name, thresholds in met.items() for threshold in thresholds)
    found = [] if fired == expected else [f"O7: fired {dict(fired)}, the log says {dict(expected)}"]
    found += [
        f"O7: {dict(row)} fired below its threshold, with a wrong amount, or is resolved"
        for row in rows
        if row["used"] * 100 < row["available"] * row["threshold"]
        or row["used"] > levels[row["organization"]]
        or row["available"] != customers[row["organization"]].allowance
        or row["resolved_at"] is not None
    ]
    highest = {name: thresholds[-1] for name, thresholds in met.items() if thresholds}
    mailed = {(row["organization"], row["threshold"]) for row in rows if row["notification"] == "sent"}
    found += [f"O8: no mail about {at}" for at in highest.items() if at not in mailed]
    banners = await connection.fetch(
        "SELECT organization, threshold FROM banners JOIN organizations USING (organization_id)"
    )
    shown = {row["organization"]: row["threshold"] for row in banners}
    return found + ([f"O7: banners {shown}, the log says {highest}"] if shown != highest else [])


async def check_mails(
    connection: "asyncpg.Connection[asyncpg.Record]", customers: dict[str, Customer], got: Sequence[tuple[str, str]], copies_max: int
) -> list[str]:  # fmt: skip
    rows = await connection.fetch(
        "SELECT f.firing_id, o.organization, array_agg(e.recipient) AS recipients FROM alert_firings f JOIN organizations o"
        " USING (organization_id) LEFT JOIN email_outbox e USING (firing_id) WHERE f.notification = 'sent' GROUP BY 1, 2"
    )
    found = [
        f"O8: {dict(row)}, the recipients are {customers[row['organization']].recipients}"
        for row in rows
        if Counter(row["recipients"]) != Counter(customers[row["organization"]].recipients)
    ]
    mails = {tuple(row) for row in await connection.fetch("SELECT recipient, message_id FROM email_outbox")}
    copies = len(got) - len(set(got))
    found += [f"O8: {mail} was never accepted by the mail server" for mail in mails - set(got)]
    found += [f"O8: {mail} was accepted but is not in the outbox" for mail in set(got) - mails]
    return found + ([f"O8: {copies} copies, {copies_max} answers were lost"] if copies > copies_max else [])
