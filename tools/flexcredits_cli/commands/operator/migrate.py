"""`migrate`: applies the pending database migrations."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
import typer
from runtime.postgres.migrations import MigrationError, Migrations, inspect_migrations
from runtime.postgres.migrations import migrate as apply_migrations
from runtime.postgres.pooler import ThroughPooler

from flexcredits_cli.stack.addresses import postgres_dsn, schema_folder
from flexcredits_cli.terminal.output import DIFFERS, AsJson, DryRun, print_json, print_table
from flexcredits_cli.terminal.problem import SetupProblem, reason_of

Answer = TypeVar("Answer")


def migrate(dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Apply the pending migrations in order, as the database's owner. Services may keep running.

    Exit code 0: nothing is pending any more. 1: Postgres refused, or the database has another version; migrations that were
    applied before that stay applied. 3: with --dry-run, a migration is pending.
    """
    dsn, folder = postgres_dsn(), schema_folder("postgres")
    before = run_work(inspect_migrations(dsn, folder))
    if not dry_run:
        run_work(apply_migrations(dsn, folder))
    after = before if dry_run else run_work(inspect_migrations(dsn, folder))
    if as_json:
        applied = [{"name": name, "applied_at": at} for name, at in after.applied.items()]
        new = [name for name in after.applied if name not in before.applied]
        print_json({"applied": applied, "new": new, "pending": after.pending})
    else:
        print_table(rows(before, after), ("migration", "state"))
    if after.pending:
        raise typer.Exit(DIFFERS)


def rows(before: Migrations, after: Migrations) -> list[tuple[str, str]]:
    known = [
        (name, f"applied {at:%Y-%m-%d %H:%M}" if name in before.applied else "applied now")
        for name, at in after.applied.items()
    ]
    return known + [(name, "pending") for name in after.pending]


def run_work(work: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        return asyncio.run(work)
    except MigrationError as error:
        raise SetupProblem(f"the database does not match this version: {error}") from None
    except ThroughPooler as error:
        raise SetupProblem(str(error)) from None
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise SetupProblem(f"Postgres refused: {reason_of(error)}") from None
