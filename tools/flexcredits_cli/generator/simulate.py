"""`simulate scenario|backfill|rate`: the commands, and the plan of each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from flexcredits_cli.generator.company.cast import HAND_WRITTEN, Company, companies
from flexcredits_cli.generator.company.events import milliseconds_of
from flexcredits_cli.generator.company.shape import busyness, local_day
from flexcredits_cli.generator.delivery import Plan, Scenario, run_plan
from flexcredits_cli.generator.replay import parse_instant
from flexcredits_cli.generator.usage.disturbances import Sending
from flexcredits_cli.generator.usage.history import Past
from flexcredits_cli.generator.usage.live import Opening, steady

app = typer.Typer(help="Send generated usage. The same --seed and --at give the same bytes.", no_args_is_help=True)

DEMO_COMPANIES = 5
LIVE_RATE = 2.0
MONTHS_MAX = 13
"""13 months are at most 396 days; ingest accepts 400."""

Seed = Annotated[int, typer.Option(help="Seed of the generator.")]
At = Annotated[str | None, typer.Option(help="End of the history (RFC 3339). Default: now.")]
Output = Annotated[
    Path | None, typer.Option(help="Write JSON lines to this file (- is stdout) instead of sending them.")
]
Number = Annotated[int, typer.Option(min=1, max=10_000, help="Number of companies.")]


@app.command()
def scenario(
    rate: Annotated[
        float, typer.Option(min=0.1, max=500, help="Live events per second in the first two minutes, then a tenth.")
    ] = LIVE_RATE,
    seconds: Annotated[float | None, typer.Option(min=0, help="Seconds of live usage. Default: no end.")] = None,
    seed: Seed = 1,
    at: At = None,
    output: Output = None,
    counted_file: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Send the demo: the history of a company in the middle of its credit period and of a few smaller ones, then live usage."""
    now = read_at(at)
    pasts = [past_of(seed, company, now, MONTHS_MAX) for company in HAND_WRITTEN[:DEMO_COMPANIES]]
    live_s = 0 if output and seconds is None else seconds

    def live(begins_at: int) -> Iterator[Sending]:
        return Opening(seed, pasts, rate, begins_at).sendings(live_s)

    scenario = Scenario(counted_file, follows_clock=at is None)
    run_plan(Plan(now, pasts, live, scenario=scenario), output)


@app.command()
def backfill(
    organizations: Number = 20,
    months: Annotated[int, typer.Option(min=1, max=MONTHS_MAX, help="Months of history.")] = MONTHS_MAX,
    events: Annotated[int, typer.Option(min=1, help="Events in total, approximately.")] = 100_000,
    series: Annotated[int, typer.Option(min=1, help="Series of the first company, approximately.")] = 220,
    seed: Seed = 1,
    at: At = None,
    output: Output = None,
) -> None:
    """Send the history of many companies up to now, as fast as ingest accepts it. The demo's companies are not included."""
    now = read_at(at)
    cast = sized(list(companies(organizations)), events, now, months, series)
    run_plan(Plan(now, [past_of(seed, company, now, months) for company in cast]), output)


@app.command()
def rate(
    per_second: Annotated[float, typer.Option(min=0.1, max=100_000, help="Events per second.")] = 200,
    seconds: Annotated[float, typer.Option(min=0.1, help="Duration in seconds.")] = 60,
    organizations: Number = 20,
    seed: Seed = 1,
    at: At = None,
    output: Output = None,
) -> None:
    """Send a steady load for many companies, without a history. The demo's companies are not included."""
    now = read_at(at)
    cast = list(companies(organizations))
    pasts = [past_of(seed, replace(company, per_day=0), now, 0) for company in cast]
    run_plan(Plan(now, pasts, lambda begins_at: steady(seed, cast, begins_at, per_second, seconds)), output)


def read_at(text: str | None) -> int:
    """Milliseconds since 1970."""
    return milliseconds_of(parse_instant(text) if text else datetime.now(UTC))


def past_of(seed: int, company: Company, at: int, months: int) -> Past:
    return Past(seed, company, first_day(company, at, months), at)


def first_day(company: Company, at: int, months: int) -> date:
    return local_day(at, company.time_zone) - timedelta(days=round(months * 30.4))


def sized(cast: Sequence[Company], events: int, at: int, months: int, series: int) -> list[Company]:
    """Companies with `events` split in proportion to their `per_day`, and with `series` for the first company."""
    first, *others = cast
    # A series is an agent, one of 15 features and one of 5 surfaces; about a third of the combinations is unused.
    first = replace(first, series=series, agents=max(first.agents, series // 50))
    begins, today = first_day(first, at, months), local_day(at, first.time_zone)
    busy = sum(busyness(begins + timedelta(days=day)) for day in range((today - begins).days + 1))
    times = events / (busy * sum(company.per_day for company in cast))
    return [replace(company, per_day=company.per_day * times) for company in (first, *others)]
