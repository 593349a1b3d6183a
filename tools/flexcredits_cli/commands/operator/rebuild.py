"""`rebuild`: recounts days from Kafka and corrects the rollups, or moves an organization's days to another time zone."""

import asyncio
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from aggregator.catalog.zone_rules import Outdated, record_zone_rules
from aggregator.rebuild.compare import to_date
from aggregator.rebuild.scope import ledger_begins
from aggregator.rebuild.swap import CannotRebuild, Comparison, compare, note_failures, only_rebuild, swap
from aggregator.rebuild.time_zone import ZoneChange, apply_zone_rules, change_time_zone
from aiokafka.errors import KafkaError
from flexcredits_schemas.credits import decimal_text
from flexcredits_schemas.zones import TZ_VERSION
from runtime.postgres.pooler import ThroughPooler

from flexcredits_cli.stack.addresses import kafka_settings, postgres_dsn
from flexcredits_cli.terminal.output import DIFFERS, AsJson, DryRun, print_json, print_table, printable
from flexcredits_cli.terminal.problem import SetupProblem, reason_of

TOPIC = "usage.events.v1"
EXAMPLES = 20
Answer = TypeVar("Answer")


def rebuild(
    first: Annotated[str | None, typer.Option("--from", help="First local day, as 2026-11-01.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last local day (inclusive). Default: today.")] = None,
    organization: Annotated[str | None, typer.Option(help="Only this organization. Default: all.")] = None,
    time_zone: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--time-zone",
            metavar="ORGANIZATION ZONE",
            help="Move an organization's days to another IANA time zone instead.",
        ),
    ] = None,
    time_zone_rules: Annotated[
        bool,
        typer.Option(
            "--time-zone-rules", help="Move days that were counted by older time zone rules to the current rules."
        ),
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    topic: Annotated[str, typer.Option("--topic", envvar="USAGE_EVENTS_TOPIC")] = TOPIC,
) -> None:
    """Recount days from Kafka, print how the rollups differ, and correct them in one transaction.

    Counting continues meanwhile. The command reads the log from the beginning of the first day up to the position in Postgres,
    as far back as Kafka retains. Where an event has copies, the ledger decides which copy counts. A run with usage in the days
    is recounted as a whole, from the ledger. With --dry-run the command proves that log, ledger and rollups agree.

    An organization whose own data makes the recount fail is left out and named; all others are compared and corrected.

    Exit code 0: nothing differs, or all differences are corrected. 1: not possible; or log and ledger contradict each other
    (nothing was changed then); or an organization was left out. 3: with --dry-run, something differs.
    """
    if time_zone is not None:
        if first or last or organization:
            raise SetupProblem("--time-zone moves all days of its organization: use it without a range.")
        rezone(*time_zone, dry_run, as_json)
        return
    if time_zone_rules:
        if first or last:
            raise SetupProblem("--time-zone-rules moves all days that can be moved: use it without a range.")
        apply_rules(organization, dry_run, as_json)
        return
    if first is None:
        raise SetupProblem("name the first day, as --from 2026-11-01, or move an organization with --time-zone.")
    begins, ends = read_day(first), read_day(last) if last else datetime.now(UTC).date()
    if ends < begins:
        raise SetupProblem(f"--to {ends} is before --from {begins}.")
    comparison = run_work(recount(topic, begins, ends, organization, dry_run))
    swapped = comparison.differs and not comparison.recount.contradictions and not dry_run
    if as_json:
        print_json(document(comparison, swapped))
    else:
        explain(comparison, swapped)
    if comparison.recount.contradictions:
        raise SetupProblem("the log and the ledger contradict each other, see above: nothing was changed.")
    if failed := comparison.recount.failed:
        raise SetupProblem(f"{', '.join(failed)}: left out, see above. All other organizations are compared.")
    if comparison.differs and dry_run:
        raise typer.Exit(DIFFERS)


async def recount(topic: str, first: date, last: date, organization: str | None, dry_run: bool) -> Comparison:
    dsn = postgres_dsn()
    async with only_rebuild(dsn) as holder:
        comparison = await compare(kafka_settings(), dsn, holder, topic, first, last, organization, show_progress)
        if dry_run:
            return comparison
        try:
            if comparison.differs and not comparison.recount.contradictions:
                await swap(holder, comparison)
        finally:
            if not holder.is_closed():
                await note_failures(holder, comparison)
        return comparison


def rezone(organization: str, time_zone: str, dry_run: bool, as_json: bool) -> None:
    async def change() -> ZoneChange:
        async with only_rebuild(postgres_dsn()) as holder:
            return await change_time_zone(holder, organization, time_zone, dry_run=dry_run)

    done = run_work(change())
    if as_json:
        print_json({**asdict(done), "changed": done.old != done.new and not dry_run})
        return
    if done.old == done.new:
        typer.echo(f"{organization} is in {done.new} already.")
        return
    verb = "would touch" if dry_run else "touched"
    typer.echo(f"{organization}: {done.old} -> {done.new} {verb} {done.rows_moved} daily rows.")
    typer.echo(f"Days before {done.kept_before} are unchanged: not all of their quarter-hour and ledger rows are kept.")


def apply_rules(organization: str | None, dry_run: bool, as_json: bool) -> None:
    async def apply() -> list[tuple[Outdated, ZoneChange]]:
        async with only_rebuild(postgres_dsn()) as holder:
            outdated = await record_zone_rules(holder, organization)
            return [(one, await apply_zone_rules(holder, one.organization, dry_run=dry_run)) for one in outdated]

    done = run_work(apply())
    if as_json:
        print_json({
            "tz": TZ_VERSION,
            "organizations": [
                {**one._asdict(), "rows_moved": change.rows_moved, "first": change.kept_before, "changed": not dry_run}
                for one, change in done
            ],
        })  # fmt: skip
        return
    verb = "would touch" if dry_run else "touched"
    for one, change in done:
        since = f"whose rules changed on {one.since:%Y-%m-%d}" if one.since else "whose rules were not recorded"
        typer.echo(
            f"{one.organization}: {one.time_zone}, {since}: {verb} {change.rows_moved} daily rows from {change.kept_before} on."
        )
    if not done:
        typer.echo(f"All days were counted by the current rules (tz {TZ_VERSION}).")


def show_progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)


def run_work(work: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        return asyncio.run(work)
    except (CannotRebuild, ThroughPooler) as error:
        raise SetupProblem(str(error)) from None
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise SetupProblem(f"Postgres refused: {reason_of(error)}") from None
    except KafkaError as error:
        raise SetupProblem(f"cannot read from Kafka: {reason_of(error)}") from None


def read_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SetupProblem(f"{text!r} is not a day: write it as 2026-11-01.") from None


def document(comparison: Comparison, swapped: bool) -> dict[str, Any]:
    recount = comparison.recount
    return {
        "from": comparison.days.first,
        "to": comparison.days.last,
        "organizations": len(comparison.days.organizations),
        "positions": comparison.positions,
        "records": recount.records,
        "in_range": {
            "counted": recount.counted.total(),
            "held": recount.held,
            "duplicate": recount.duplicate,
            "rejected": recount.rejected,
        },
        "contradictions": {"number": recount.contradictions, "examples": recount.shown},
        "tables": [
            {
                "table": line.table,
                "rows": line.rows,
                "differing": line.differing,
                "live": {"micro_credits": line.live[0], "events": line.live[1]},
                "rebuilt": {"micro_credits": line.rebuilt[0], "events": line.rebuilt[1]},
            }
            for line in comparison.tables
        ],
        "runs_left": comparison.runs.left,
        "examples": examples(comparison),
        "differs": comparison.differs,
        "swapped": swapped,
        "failed": recount.failed,
    }


def examples(comparison: Comparison) -> list[dict[str, Any]]:
    """Some of the differing daily rows, with the amounts to be added to them."""
    names = {at.organization_id: name for name, at in comparison.days.organizations.items()}
    return [
        {
            "organization": names[organization_id],
            "day": to_date(day),
            "series_id": series_id,
            "micro_credits": credits,
            "events": events,
        }
        for (organization_id, day, series_id), (credits, events) in sorted(comparison.differences.days.items())[
            :EXAMPLES
        ]
    ]


def explain(comparison: Comparison, swapped: bool) -> None:
    recount = comparison.recount
    typer.echo(
        f"{comparison.days.first} to {comparison.days.last}, {len(comparison.days.organizations)} organizations:"
        f" {recount.records:,} records read; in the range {recount.counted.total():,} counted, {recount.held:,} held,"
        f" {recount.duplicate:,} duplicate, {recount.rejected:,} rejected"
    )
    rows: list[tuple[object, ...]] = [("table", "rebuilt rows", "differing", "live credits", "rebuilt credits")]
    for line in comparison.tables:
        rows.append((line.table, line.rows, line.differing, credits_of(line.live[0]), credits_of(line.rebuilt[0])))
    print_table(rows)
    for row in examples(comparison):
        added = f"{credits_of(row['micro_credits'])} credits, {row['events']} events to be added"
        typer.echo(f"{row['organization']}  {row['day']}  series {row['series_id']}: {added}")
    if left := comparison.runs.left:
        typer.echo(
            f"{left:,} runs began before {ledger_begins().date()}, where the ledger begins: they stay as they are."
        )
    for text in recount.shown:
        typer.echo(text)
    for name, reason in recount.failed.items():
        typer.echo(f"{name}  failed and is left out: {printable(reason)}")
    if recount.contradictions:
        return
    if not comparison.differs:
        typer.echo("Log, ledger and rollups agree.")
    else:
        typer.echo("The rebuilt rows are in place." if swapped else "Nothing was changed.")


def credits_of(micro: int) -> str:
    return f"{Decimal(decimal_text(micro)):,}"
