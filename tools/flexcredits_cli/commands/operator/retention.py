"""`retention`: drops data whose retention period is over. The aggregator does the same by itself every six hours."""

from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import typer

from flexcredits_cli.stack.connection import run
from flexcredits_cli.terminal.output import DIFFERS, AsJson, DryRun, print_json, printable

LEDGER_DAYS = 466
"""As in drop_expired_partitions(): 430 days in which copies are detected, 30 days in which the log can be replayed, and slack."""
DROP_WITHIN_S = 600


def retention(dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Drop expired ledger days and quarter-hour months, and create partitions ahead. Safe at any time.

    Sums of dropped ledger days are kept in ledger_seals, in the same transaction. Days with events that are held, or were
    received in the last 466 days, are not dropped yet; daily, monthly and organization rows are never dropped. A partition
    that a query locks for more than two seconds is dropped next time.

    If rows of an organization cannot be dropped, they stay, and `quarantine ls` lists the organization; all others are dropped.

    Exit code 0: nothing is left to drop. 1: Postgres refused, or an organization's rows failed. 3: with --dry-run, rows would
    be dropped.
    """
    today = datetime.now(UTC).date()
    report = run(lambda connection: clear(connection, today, dry_run), within_s=DROP_WITHIN_S)
    if as_json:
        print_json({"today": today, "ledger_days": LEDGER_DAYS, **report})
    else:
        verb = "would be dropped" if dry_run else "dropped"
        for name in report["expired"] if dry_run else report["dropped"]:
            typer.echo(f"{name}  {verb}")
        for name in report["waiting"]:
            typer.echo(f"{name}  waits: some of its usage is held, or arrived late")
        typer.echo(f"{report['forgettable' if dry_run else 'forgotten']} ledger rows without a day {verb}")
        typer.echo(f"{report['ahead']} partitions ahead of today")
        for entry in report["failed"]:
            typer.echo(f"{entry['organization']}  failed: {printable(entry['reason'])}")
    if report["failed"]:
        raise typer.Exit(1)
    if dry_run and (report["expired"] or report["forgettable"]):
        raise typer.Exit(DIFFERS)


async def clear(connection: "asyncpg.Connection[asyncpg.Record]", today: date, dry_run: bool) -> dict[str, Any]:
    rows = await connection.fetch("SELECT name, waits FROM expired_partitions($1)", today)
    forgettable = await count_forgettable(connection, today)
    dropped: list[str] = []
    if not dry_run:
        await connection.execute("SELECT ensure_partitions($1)", today)
        dropped = [row[0] for row in await connection.fetch("SELECT drop_expired_partitions($1)", today)]
    ahead = await connection.fetchval(
        "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'usage_ledger'::regclass"
        " AND to_date(substring(c.relname FROM '^usage_ledger_(\\d{8})$'), 'YYYYMMDD') > $1",
        today,
    )
    failed = await connection.fetch(
        "SELECT o.organization, q.reason FROM quarantine q JOIN organizations o USING (organization_id)"
        " WHERE q.component = 'retention' ORDER BY 1"
    )
    return {
        "failed": [] if dry_run else [dict(row) for row in failed],
        "expired": [row["name"] for row in rows if not row["waits"]],
        "waiting": [row["name"] for row in rows if row["waits"]],
        "dropped": dropped,
        "forgettable": forgettable,
        "forgotten": 0 if dry_run else forgettable - await count_forgettable(connection, today),
        "ahead": ahead,
    }


async def count_forgettable(connection: "asyncpg.Connection[asyncpg.Record]", today: date) -> int:
    """Number of expired ledger rows whose ids contain no day. They are deleted one by one, by the day of their receipt."""
    number: int = await connection.fetchval(
        "SELECT count(*) FROM usage_ledger WHERE ledger_bucket BETWEEN -16 AND -1 AND NOT held"
        " AND received_at < ($1::date - $2::integer)::timestamp AT TIME ZONE 'UTC'",
        today,
        LEDGER_DAYS,
    )
    return number
