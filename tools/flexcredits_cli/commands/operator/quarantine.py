"""`quarantine ls|show|release`: lists organizations whose steps fail, shows their waiting records, and retries at once."""

import base64
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import typer

from flexcredits_cli.stack.connection import run
from flexcredits_cli.terminal.output import AsJson, print_json, print_table, printable
from flexcredits_cli.terminal.problem import SetupProblem

app = typer.Typer(
    help="Quarantine: organizations whose own data makes a component fail. All other organizations are served as usual.",
    no_args_is_help=True,
)

ROWS = """
SELECT o.organization, q.component, q.step, q.reason, q.attempts, q.failed_first_at, q.failed_last_at,
    CASE WHEN isfinite(q.retry_at) THEN q.retry_at END AS retry_at,
    CASE WHEN q.component = 'aggregator' AND q.step IN ('counting', 'catalog')
         THEN (SELECT count(*) FROM quarantined_records r WHERE r.organization_id = q.organization_id
               AND (r.topic = $2) = (q.step = 'catalog'))
         WHEN q.component = 'aggregator' AND q.step IN ('release', 'sums')
         THEN (SELECT count(*) FROM usage_held h WHERE h.organization_id = q.organization_id
               AND (h.waits_for = 'sum_limit') = (q.step = 'sums')) END AS waiting
FROM quarantine q JOIN organizations o USING (organization_id)
WHERE $1::text IS NULL OR o.organization = $1 ORDER BY q.failed_first_at, o.organization, q.step
"""
RECORDS = """
SELECT r.topic, r.partition, r.kafka_offset AS "offset", r.received_at, r.key, r.value, r.headers
FROM quarantined_records r JOIN organizations o USING (organization_id)
WHERE o.organization = $1 ORDER BY r.topic, r.partition, r.kafka_offset LIMIT $2
"""
RELEASE = """
UPDATE quarantine q SET retry_at = now() FROM organizations o
WHERE o.organization_id = q.organization_id AND ($1::text IS NULL OR o.organization = $1)
RETURNING o.organization, q.component, q.step
"""
DEPLOYMENT = "(deployment)"

CatalogTopic = Annotated[str, typer.Option("--catalog-topic", envvar="CATALOG_TOPIC")]
Organization = Annotated[str, typer.Argument(help="As `quarantine ls` prints it.")]


@app.command("ls")
def list_quarantine(as_json: AsJson = False, catalog_topic: CatalogTopic = "usage.catalog.v1") -> None:
    """Print each organization in quarantine: the component and step that fail, since when, and when the next try is."""
    rows = run(lambda connection: connection.fetch(ROWS, None, catalog_topic))
    if as_json:
        print_json({"quarantine": [row_fields(row) for row in rows]})
        return
    table: list[tuple[object, ...]] = [
        ("organization", "component", "step", "waiting", "since", "attempts", "next try", "reason")
    ]
    for row in rows:
        waiting = "-" if row["waiting"] is None else row["waiting"]
        table.append(
            (
                row["organization"] or DEPLOYMENT, row["component"], row["step"], waiting, instant(row["failed_first_at"]),
                row["attempts"], instant(row["retry_at"]), printable(row["reason"]),
            )
        )  # fmt: skip
    print_table(table)


@app.command("show")
def show(
    organization: Organization,
    limit: Annotated[int, typer.Option(min=1, help="Records at most.")] = 20,
    as_json: AsJson = False,
    catalog_topic: CatalogTopic = "usage.catalog.v1",
) -> None:
    """Print the steps that fail for an organization, and the first of its waiting records, byte for byte."""
    name = "" if organization == DEPLOYMENT else organization
    rows = run(lambda connection: connection.fetch(ROWS, name, catalog_topic))
    if not rows:
        raise SetupProblem(f"{organization} is not in quarantine. `quarantine ls` prints the organizations that are.")
    records = run(lambda connection: connection.fetch(RECORDS, name, limit))
    if as_json:
        print_json({"quarantine": [row_fields(row) for row in rows], "records": [record_of(row) for row in records]})
        return
    for row in rows:
        typer.echo(
            f"{row['component']}  {row['step']}  {row['attempts']} attempts since {instant(row['failed_first_at'])}"
        )
        typer.echo(f"  {printable(row['reason'])}")
        typer.echo(f"  next try {instant(row['retry_at'])}")
    for row in records:
        value = printable((row["value"] or b"").decode(errors="replace"))
        typer.echo(f"{row['topic']}/{row['partition']}/{row['offset']}  {instant(row['received_at'])}  {value}")


@app.command("release")
def release(
    organization: Annotated[str | None, typer.Argument(help="As `quarantine ls` prints it.")] = None,
    all_organizations: Annotated[bool, typer.Option("--all", help="All organizations in quarantine.")] = False,
    as_json: AsJson = False,
) -> None:
    """Retry an organization's failing steps at once: within seconds its records are applied in order, exactly once.

    A step that fails again stays in quarantine. No record is lost or skipped.
    """
    if (organization is None) != all_organizations:
        raise SetupProblem("name an organization, or use --all.")
    name = "" if organization == DEPLOYMENT else organization
    rows = run(lambda connection: connection.fetch(RELEASE, name))
    if not rows and not all_organizations:
        raise SetupProblem(f"{organization} is not in quarantine. `quarantine ls` prints the organizations that are.")
    if as_json:
        print_json({"released": [dict(row) for row in rows]})
        return
    for row in rows:
        by_hand = row["component"] in ("rebuild", "retention")
        when = f"is retried by the next `{row['component']}`" if by_hand else "is retried now"
        typer.echo(f"{row['organization'] or DEPLOYMENT}  {row['component']}  {row['step']}  {when}")


def row_fields(row: asyncpg.Record) -> dict[str, Any]:
    return {**dict(row), "organization": row["organization"] or DEPLOYMENT}


def record_of(row: asyncpg.Record) -> dict[str, Any]:
    encoded = {name: None if row[name] is None else base64.b64encode(row[name]).decode() for name in ("key", "value")}
    fields = {name: row[name] for name in ("topic", "partition", "offset", "received_at")}
    return {**fields, "key_base64": encoded["key"], "value_base64": encoded["value"]}


def instant(at: datetime | None) -> str:
    return "on request" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
