"""Benchmarks: python bench.py [aggregator] [ingest] [latency] [alerts] [queries] [csv] [dashboard] [scale] [--events N] [--runs N]. `./flexcredits bench` runs it.

Kafka and Postgres are the embedded ones with the settings of `up`, fsync included, on the same cores as the
services and the load. Each figure is the median of the runs; compare shares and ratios, since machines are noisy.
"""

import argparse
import asyncio
import secrets
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
from aggregator_load import AggregatorResult, fill_topics, run_aggregator, time_bare_insert
from alert_load import measure_alerts, percentile
from csv_load import ORGANIZATION, CsvResult, describe, fill, measure_csv, sum_of_days
from dashboard_load import LIMITS_MS as DASHBOARD_LIMITS_MS
from dashboard_load import measure_dashboard
from flexcredits_cli.embedded.java import find_java
from flexcredits_cli.embedded.kafka import EmbeddedKafka
from flexcredits_cli.embedded.kafka_jars import ensure_jars
from flexcredits_cli.embedded.postgres import EmbeddedPostgres
from flexcredits_cli.embedded.postgres_binaries import find_binaries
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.machine.state_folder import state_folder
from flexcredits_cli.stack.api_keys import create_key
from ingest_load import IngestResult, measure_ingest
from latency_load import measure_latency
from query_load import LIMITS_MS, describe_queries, fill_history, measure_queries
from scale_load import HELD_TO_2000, describe_scale, fill_partitions, measure_scale
from support.infra.full_stack import WholeStack, running_stack, state_of_its_own
from support.infra.service_process import aggregator_environment, eventually, free_port, running
from support.infra.stack import Database, Topics, copy_template, make_template, make_topics, throwaway_folder
from support.infra.stack import running as running_program
from support.services.query_api import AUDIENCE, ISSUER, UNSUBSCRIBE_SECRET, identity_provider, make_rsa_key
from sweep_load import ORGANIZATIONS, fill_books, measure_sweep

Result = TypeVar("Result")
PARTS = ["aggregator", "ingest", "latency", "alerts", "queries", "csv", "dashboard", "scale"]


@contextmanager
def embedded_stack() -> Iterator[tuple[str, str]]:
    """Kafka's address and a superuser's DSN, with the settings of `up`."""
    class_path = ensure_jars(state_folder().jars, print)
    kafka_port, controller_port = free_ports(2)
    with throwaway_folder() as kafka_folder, embedded_postgres() as server:
        broker = EmbeddedKafka(kafka_folder, class_path, find_java(), kafka_port, controller_port)
        broker.prepare()
        with running_program(broker.program()):
            yield broker.bootstrap, server


@contextmanager
def embedded_postgres() -> Iterator[str]:
    """A superuser's DSN, with the settings of `up`."""
    (port,) = free_ports(1)
    with throwaway_folder() as folder:
        server = EmbeddedPostgres(folder, find_binaries(), port, secrets.token_hex(16))
        server.prepare()
        with running_program(server.program()):
            yield server.dsn()


async def bench_aggregator(
    bootstrap: str, database: Database, topics: Topics, events: int, seed: int
) -> AggregatorResult:
    size = await fill_topics(bootstrap, topics.usage_events, topics.catalog, events, seed)
    seconds = await run_aggregator(aggregator_environment(database, topics), database.dsn, events)
    await check_sums(database.dsn)
    return AggregatorResult(events, size, seconds, await time_bare_insert(database.dsn))


async def check_sums(dsn: str) -> None:
    """Ends the benchmark if the sums of ledger and rollups differ."""
    connection = await asyncpg.connect(dsn)
    sums = [
        await connection.fetchval(f"SELECT sum(credits) FROM {table}")
        for table in ("usage_ledger", "usage_15m", "usage_daily", "usage_monthly")
    ]
    await connection.close()
    if len(set(sums)) != 1:
        raise SystemExit(f"ledger and rollups differ: {sums}")


async def bench_ingest(bootstrap: str, database: Database, topics: Topics, events: int, seed: int) -> IngestResult:
    port = free_port()
    environment = {
        "KAFKA_BOOTSTRAP": bootstrap, "POSTGRES_DSN": database.roles["flexcredits_ingest"], "HTTP_PORT": str(port),
        "USAGE_EVENTS_TOPIC": topics.usage_events, "CATALOG_TOPIC": topics.catalog, "DEAD_LETTER_TOPIC": topics.dlq,
    }  # fmt: skip
    key = await create_key(database.dsn, "*", "*")
    with running("ingest", environment) as process:
        await eventually(process.ready, what="ingest ready")
        return await measure_ingest(f"http://127.0.0.1:{port}", key, events, seed=seed)


async def bench_floors(parts: list[str], events: int, runs: int) -> None:
    with embedded_stack() as (bootstrap, server):
        template = await make_template(server)
        aggregated, ingested = [], []
        for run in range(runs):
            if "aggregator" in parts:
                database, topics = await copy_template(server, template), await make_topics(bootstrap)
                counted = await bench_aggregator(bootstrap, database, topics, events, run)
                aggregated.append(counted)
                print(
                    f"aggregator run {run + 1}: {counted.events_per_second:,.0f} events/s of {counted.event_bytes:.0f} B;"
                    f" bare insert {events / counted.bare_insert_seconds:,.0f} rows/s; share {counted.share_of_bare_insert:.3f}",
                    flush=True,
                )
            if "ingest" in parts:
                database, topics = await copy_template(server, template), await make_topics(bootstrap)
                taken = await bench_ingest(bootstrap, database, topics, min(events, 300_000), run)
                ingested.append(taken)
                print(
                    f"ingest run {run + 1}: {taken.events_per_second:,.0f} events/s of {taken.event_bytes:.0f} B in requests"
                    f" of 500; a request takes {taken.request_ms_p50:.0f} ms (p50), {taken.request_ms_p99:.0f} ms (p99)",
                    flush=True,
                )
        report("aggregator", aggregated, lambda result: result.events_per_second, "{:,.0f} events/s")
        report("aggregator", aggregated, lambda result: result.share_of_bare_insert, "{:.3f} of the bare insert")
        report("ingest", ingested, lambda result: result.events_per_second, "{:,.0f} events/s")


async def bench_scale(events: int) -> None:
    """One, two and three aggregators on the same log: without a limit, and each limited to 2,000 events/s."""
    with embedded_stack() as (bootstrap, server):
        template, topics = await make_template(server), await make_topics(bootstrap)
        await fill_partitions(topics, events)
        for limit, share in ((HELD_TO_2000, 30_000), ({}, events)):
            for aggregators in (1, 2, 3):
                database = await copy_template(server, template)
                result = await measure_scale(database, topics, share, aggregators, limit)
                await check_sums(database.dsn)
                print(
                    f"scale, {'held to 2,000/s each' if limit else 'as fast as they go'}: {describe_scale(result)}",
                    flush=True,
                )


def report(name: str, results: list[Result], figure: Callable[[Result], float], text: str) -> None:
    if results:
        figures = sorted(map(figure, results))
        spread = ", ".join(text.format(each) for each in figures)
        print(f"{name} median of {len(results)}: {text.format(statistics.median(figures))} ({spread})", flush=True)


async def bench_latency(runs: int, per_second: int, seconds: float) -> None:
    with state_of_its_own() as home, running_stack(home) as (_, addresses):
        stack = WholeStack(home, addresses)
        p99s = []
        for run in range(runs):
            result = await measure_latency(stack, f"org_latency_{run}", per_second=per_second, seconds=seconds)
            p99s.append(result.p99_ms)
            print(
                f"latency run {run + 1}: accepted to visible in the overview at {result.events_per_second:,.0f} events/s:"
                f" p50 {result.p50_ms:.0f} ms, p99 {result.p99_ms:.0f} ms, worst {result.worst_ms:.0f} ms",
                flush=True,
            )
        report("latency", p99s, lambda each: each, "p99 {:.0f} ms")


async def bench_alerts(runs: int, per_second: int, crossings: int) -> None:
    with state_of_its_own() as home, running_stack(home) as (_, addresses):
        stack = WholeStack(home, addresses)
        results = []
        for run in range(runs):
            result = await measure_alerts(stack, run, per_second=per_second, crossings=crossings)
            results.append(result)
            print(
                f"alerts run {run + 1}: {crossings} crossings at {result.events_per_second:,.0f} events/s; accepted to banner:"
                f" p50 {percentile(result.banner_ms, 50):.0f} ms, p99 {percentile(result.banner_ms, 99):.0f} ms; to mail taken:"
                f" p50 {percentile(result.mail_ms, 50):.0f} ms, p99 {percentile(result.mail_ms, 99):.0f} ms",
                flush=True,
            )
        report("banner", results, lambda each: percentile(each.banner_ms, 99), "p99 {:.0f} ms")
        report("mail", results, lambda each: percentile(each.mail_ms, 99), "p99 {:.0f} ms")


async def bench_sweep(runs: int) -> None:
    """The alerter's sweep over all organizations, on inserted rows."""
    with embedded_postgres() as server:
        database = await copy_template(server, await make_template(server))
        await fill_books(database.dsn)
        results = []
        for run in range(runs):
            results.append(await measure_sweep(database))
            print(
                f"sweep run {run + 1}: {ORGANIZATIONS:,} organizations in {results[-1].quiet_s:.2f} s, and"
                f" {results[-1].first_s:.2f} s with {results[-1].fired} that fired",
                flush=True,
            )
        report("sweep (limit 5 s)", results, lambda result: result.quiet_s, "{:.2f} s")


async def bench_queries(runs: int, seconds: float) -> None:
    with state_of_its_own() as home, running_stack(home) as (_, addresses):
        stack = WholeStack(home, addresses)
        await fill_history(stack)
        results = []
        for run in range(runs):
            result = await measure_queries(stack, per_second=50, seconds=seconds * 3, seed=run)
            results.append(result)
            print(f"queries run {run + 1}: {describe_queries(result)}", flush=True)
        for kind, limit_ms in LIMITS_MS.items():
            p99s = [percentile(result.milliseconds[kind], 99) for result in results]
            report(f"{kind} (limit {limit_ms} ms)", p99s, lambda each: each, "p99 {:.0f} ms")


async def bench_csv(runs: int) -> None:
    """The query API in its own process on inserted rows, without Kafka."""
    with embedded_postgres() as server, identity_provider(make_rsa_key()) as provider:
        database = await copy_template(server, await make_template(server))
        await fill(database.dsn)
        total = await sum_of_days(database.dsn)
        results: list[CsvResult] = []
        for run in range(runs):
            port = free_port()
            environment = {
                "POSTGRES_DSN": database.roles["flexcredits_api"], "HTTP_PORT": str(port), "FLEXCREDITS_ENV": "development",
                "JWKS_URL": provider.url, "TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": AUDIENCE,
                "FLEXCREDITS_UNSUBSCRIBE_SECRET": UNSUBSCRIBE_SECRET,
            }  # fmt: skip
            with running("query_api", environment) as process:
                await eventually(process.ready, what="query API ready")
                token = provider.token(organization=ORGANIZATION)
                results.append(await measure_csv(f"http://127.0.0.1:{port}", token, process, total))
            print(f"csv run {run + 1}: {describe(results[-1])}", flush=True)
        report("csv", results, lambda result: result.lines_per_second, "{:,.0f} lines/s")


async def bench_dashboard(runs: int) -> None:
    with state_of_its_own() as home, running_stack(home) as (_, addresses):
        stack = WholeStack(home, addresses)
        await fill_history(stack)
        results = []
        for run in range(runs):
            result = await measure_dashboard(stack)
            results.append(result)
            interactions = ", ".join(
                f"{name} {milliseconds:.0f}" for name, milliseconds in result.interaction_ms.items()
            )
            answers = ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in result.answer_ms.items())
            print(
                f"dashboard run {run + 1}: first paint {statistics.median(result.first_paint_ms):.0f} ms, largest"
                f" {statistics.median(result.largest_paint_ms):.0f} ms, {result.kilobytes:.0f} kB; until the next paint: {interactions} ms;"
                f" until the API's numbers are shown: {answers} ms",
                flush=True,
            )
        first, largest, interaction = DASHBOARD_LIMITS_MS.values()
        report(
            f"first paint (limit {first} ms)", results, lambda each: statistics.median(each.first_paint_ms), "{:.0f} ms"
        )
        report(
            f"largest paint (limit {largest} ms)",
            results,
            lambda each: statistics.median(each.largest_paint_ms),
            "{:.0f} ms",
        )
        report(
            f"slowest interaction (limit {interaction} ms)",
            results,
            lambda each: each.slowest_interaction_ms,
            "{:.0f} ms",
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="./flexcredits bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--per-second", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--crossings", type=int, default=200)
    options = parser.parse_args()
    parts = options.parts or PARTS
    if {"aggregator", "ingest"} & set(parts):
        asyncio.run(bench_floors(parts, options.events, options.runs))
    if "latency" in parts:
        asyncio.run(bench_latency(options.runs, options.per_second, options.seconds))
    if "alerts" in parts:
        asyncio.run(bench_sweep(options.runs))
        asyncio.run(bench_alerts(options.runs, options.per_second, options.crossings))
    if "queries" in parts:
        asyncio.run(bench_queries(options.runs, options.seconds))
    if "csv" in parts:
        asyncio.run(bench_csv(options.runs))
    if "dashboard" in parts:
        asyncio.run(bench_dashboard(options.runs))
    if "scale" in parts:
        asyncio.run(bench_scale(min(options.events, 300_000)))


if __name__ == "__main__":
    main()
