"""Measures throughput, latency and cost. `./flexcredits bench [PART ...] [OPTIONS]` runs it.

Kafka and Postgres are embedded, with the settings of `up` and fsync, on the same cores as the services and the load.
Each figure is the median of the runs; compare shares and ratios of one run, since machines are noisy.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent.parent))

import people_load
import uvloop
from adapter_load import DISTINCT_REQUESTS, NATIVE, REQUEST_SIZE, SENDERS, Load, create_keys, send
from alert_load import measure_alerts, percentile
from counting.decoding import bench_decode
from counting.growth import AXES, bench_growth
from counting.limits import bench_limits
from counting.turns import bench_aggregator, bench_peers
from csv_load import (
    ORGANIZATION,
    CsvResult,
    describe,
    fill,
    measure_copy,
    measure_csv,
    measure_files,
    peak_mb,
    sum_of_days,
)
from dashboard_load import LIMITS_MS as DASHBOARD_LIMITS_MS
from dashboard_load import measure_dashboard
from flexcredits_cli.stack.api_keys import create_key
from ingest_load import IngestResult, measure_ingest
from latency_load import measure_latency, measure_restart
from processes import exact_cpu, tree_cpu
from projection.backtest import bench_forecast
from query_load import LIMITS_MS, MIX, MIX_WITH_OUTLOOKS, describe_queries, fill_history, measure_queries
from recording_load import measure_recording
from servers import embedded_postgres, kafka_and_postgres
from support.infra.full_stack import WholeStack, running_stack, state_of_its_own
from support.infra.service_process import eventually, free_port, running
from support.infra.stack import Database, Topics, copy_template, make_template, make_topics
from support.services.query_api import AUDIENCE, ISSUER, UNSUBSCRIBE_SECRET, identity_provider, make_rsa_key
from sweep_load import ORGANIZATIONS, fill_tables, measure_sweep

Result = TypeVar("Result")
WARM_EVENTS, SINGLE_EVENTS, SINGLE_CONNECTIONS = 2_000, 20_000, 16
"""Requests of one event. Each connection waits for an answer before its next request."""
ADAPTER_EVENTS = 50_000
"""Of each protocol in a run of `adapters`."""
PARTS = ["aggregator", "ingest", "latency", "alerts", "queries", "people", "csv", "dashboard"]
MORE_PARTS = ["adapters", "peers", "limits", "scale", "decode", "forecast"]
"""They run only when they are named: an hour, or a program of others."""


async def bench_ingest(events: int, runs: int) -> None:
    """One process: requests of 500 events, and then requests of one event."""
    with kafka_and_postgres() as (bootstrap, server):
        template, batches, singles = await make_template(server), [], []
        for run in range(runs):
            database, topics = await copy_template(server, template), await make_topics(bootstrap)
            batch, single = await measure_one_ingest(bootstrap, database, topics, events, run)
            batches.append(batch)
            singles.append(single)
            for name, result in (("500 events", batch), ("one event", single)):
                print(
                    f"ingest run {run + 1}, requests of {name}: {result.requests_per_second:,.0f} requests/s,"
                    f" {result.events_per_second:,.0f} events/s of {result.event_bytes:.0f} B,"
                    f" {result.cpu_us_per_event:.1f} us of the process each; a request takes"
                    f" {result.request_ms_p50:.1f} ms (p50), {result.request_ms_p99:.1f} ms (p99)",
                    flush=True,
                )
        report("ingest", batches, lambda result: result.events_per_second, "{:,.0f} events/s")
        report("ingest, one event", singles, lambda result: result.requests_per_second, "{:,.0f} requests/s")
        report("ingest, one event", singles, lambda result: result.request_ms_p99, "p99 {:.1f} ms")


async def measure_one_ingest(
    bootstrap: str, database: Database, topics: Topics, events: int, seed: int
) -> tuple[IngestResult, IngestResult]:
    port = free_port()
    environment = {
        "KAFKA_BOOTSTRAP": bootstrap, "POSTGRES_DSN": database.roles["flexcredits_ingest"], "HTTP_PORT": str(port),
        "USAGE_EVENTS_TOPIC": topics.usage_events, "CATALOG_TOPIC": topics.catalog, "DEAD_LETTER_TOPIC": topics.dlq,
    }  # fmt: skip
    key = await create_key(database.dsn, "*", "*")
    with running("ingest", environment) as process:
        await eventually(process.ready, what="ingest ready")

        async def measure(events: int, request_size: int, connections: int) -> IngestResult:
            used = tree_cpu(process.pid)
            result = await measure_ingest(f"http://127.0.0.1:{port}", key, events, request_size, connections, seed)
            return replace(result, cpu_seconds=tree_cpu(process.pid) - used)

        await measure(WARM_EVENTS, 1, SINGLE_CONNECTIONS)
        return await measure(events, 500, 8), await measure(SINGLE_EVENTS, 1, SINGLE_CONNECTIONS)


async def bench_adapters(events: int, runs: int) -> None:
    """One process: the same model calls in the form of each protocol, by turns."""
    requests = max(1, min(events, ADAPTER_EVENTS) // REQUEST_SIZE)
    events = requests * REQUEST_SIZE
    used: dict[str, list[float]] = {sender.name: [] for sender in SENDERS}
    loads = [Load(sender, min(requests, DISTINCT_REQUESTS)) for sender in SENDERS]
    with kafka_and_postgres() as (bootstrap, server):
        database, topics = await copy_template(server, await make_template(server)), await make_topics(bootstrap)
        port = free_port()
        environment = {
            "KAFKA_BOOTSTRAP": bootstrap, "POSTGRES_DSN": database.roles["flexcredits_ingest"], "HTTP_PORT": str(port),
            "USAGE_EVENTS_TOPIC": topics.usage_events, "CATALOG_TOPIC": topics.catalog, "DEAD_LETTER_TOPIC": topics.dlq,
        }  # fmt: skip
        keys = await create_keys(database.dsn, await create_key(database.dsn, "*", "*"))
        with running("ingest", environment) as process:
            await eventually(process.ready, what="ingest ready")
            for run in range(-1, runs):  # the first one warms up
                for load in loads:
                    name, before = load.sender.name, exact_cpu(process.pid)
                    await send(f"http://127.0.0.1:{port}", keys[name], load, requests)
                    if run >= 0:
                        cost = (exact_cpu(process.pid) - before) / events * 1_000_000
                        used[name].append(cost)
                        size = load.event_bytes
                        print(f"adapters run {run + 1}, {name}: {cost:.2f} us of {size:.0f} B each", flush=True)
    native = statistics.median(used[NATIVE.name])
    for name, costs in used.items():
        cost = statistics.median(costs)
        spread = f"{min(costs):.2f} to {max(costs):.2f}"
        print(f"adapters, {name} median of {runs}: {cost:.2f} us ({spread}), {cost / native:.2f} of ours", flush=True)


def report(name: str, results: list[Result], figure: Callable[[Result], float], text: str) -> None:
    if results:
        figures = sorted(map(figure, results))
        spread = ", ".join(text.format(each) for each in figures)
        print(f"{name} median of {len(results)}: {text.format(statistics.median(figures))} ({spread})", flush=True)


async def bench_latency(runs: int, per_second: int, seconds: float) -> None:
    with state_of_its_own(on_disk=True) as home, running_stack(home) as (_, addresses):
        stack = WholeStack(home, addresses)
        p99s, restarts = [], []
        for run in range(runs):
            result = await measure_latency(stack, f"org_latency_{run}", per_second=per_second, seconds=seconds)
            p99s.append(result.p99_ms)
            print(
                f"latency run {run + 1}: accepted to visible in the overview at {result.events_per_second:,.0f} events/s:"
                f" p50 {result.p50_ms:.0f} ms, p99 {result.p99_ms:.0f} ms, worst {result.worst_ms:.0f} ms",
                flush=True,
            )
            restarts.append(await measure_restart(stack, f"org_latency_{run}"))
        report("latency", p99s, lambda each: each, "p99 {:.0f} ms")
        report("first event after SIGKILL of the aggregator", restarts, lambda each: each, "{:.1f} s")


async def bench_alerts(runs: int, per_second: int, crossings: int) -> None:
    with state_of_its_own(on_disk=True) as home, running_stack(home) as (_, addresses):
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
        await fill_tables(database.dsn)
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
    with state_of_its_own(on_disk=True) as home, running_stack(home) as (_, addresses):
        stack = WholeStack(home, addresses)
        await fill_history(stack)
        for number, (mix, reported) in enumerate(((MIX, MIX), (MIX_WITH_OUTLOOKS, ("projection", "explain")))):
            results = []
            for run in range(runs):
                seed = number * runs + run  # the same seed would send the same events again
                result = await measure_queries(stack, mix, per_second=50, seconds=seconds * 3, seed=seed)
                results.append(result)
                print(f"queries run {run + 1}: {describe_queries(result)}", flush=True)
            for kind in reported:
                p99s = [percentile(result.milliseconds[kind], 99) for result in results]
                report(f"{kind} (limit {LIMITS_MS[kind]} ms)", p99s, lambda each: each, "p99 {:.0f} ms")


async def bench_people(runs: int, seconds: float) -> None:
    with state_of_its_own(on_disk=True) as home, running_stack(home) as (_, addresses):
        stack = WholeStack(home, addresses)
        await people_load.fill_people(stack)
        results = []
        for run in range(runs):
            for number, mode in enumerate(people_load.MIX):
                seed = run * len(people_load.MIX) + number  # the same seed would send the same events again
                result = await people_load.measure_people(stack, mode, per_second=10, seconds=seconds * 3, seed=seed)
                results.append(result)
                print(f"people run {run + 1}, {mode}: {describe_queries(result)}", flush=True)
        for kind in people_load.LIMITED:
            p99s = [percentile(times, 99) for result in results if (times := result.milliseconds.get(kind))]
            report(f"{kind} (limit {people_load.LIMIT_MS} ms)", p99s, lambda each: each, "p99 {:.0f} ms")


async def bench_csv(runs: int) -> None:
    """The query API in its own process on inserted rows, without Kafka."""
    with embedded_postgres() as server, identity_provider(make_rsa_key()) as provider:
        database = await copy_template(server, await make_template(server))
        await fill(database.dsn)
        total = await sum_of_days(database.dsn)
        results: list[CsvResult] = []
        files: list[dict[str, float]] = []
        for run in range(runs):
            print(f"csv run {run + 1}: Postgres' own COPY {await measure_copy(database.dsn):,.0f} lines/s", flush=True)
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
                files.append(await measure_files(f"http://127.0.0.1:{port}", token))
                peak = peak_mb(process)
            print(f"csv run {run + 1}: {describe(results[-1])}", flush=True)
            seconds = ", ".join(f"{file} {taken:.2f} s" for file, taken in files[-1].items())
            print(f"csv run {run + 1}: {seconds}; peak {peak:.0f} MB after all", flush=True)
        report("csv", results, lambda result: result.lines_per_second, "{:,.0f} lines/s")
        await bench_recording(database.roles["flexcredits_api"], runs)
        for parquet, csv in (("usage.parquet", "usage.csv"), ("focus.parquet", "focus.csv?version=1.4")):
            report(f"{parquet} to {csv} (limit 1.3)", [taken[parquet] / taken[csv] for taken in files], float, "{:.2f}")


async def bench_recording(dsn: str, turns: int) -> None:
    taken = await measure_recording(dsn, turns)
    for run, (without, with_it) in enumerate(taken, 1):
        print(f"recording turn {run}: CPU per line {without:.2f} us, recorded {with_it:.2f} us", flush=True)
    report("recording usage.csv, CPU per line", [after - before for before, after in taken], float, "{:.2f} us")
    report("recording usage.csv, share of CPU", [after / before - 1 for before, after in taken], float, "{:.2f}")


async def bench_dashboard(runs: int) -> None:
    with state_of_its_own(on_disk=True) as home, running_stack(home) as (_, addresses):
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
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, *MORE_PARTS, []], default=[], help="default: the first seven"
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--aggregators", type=int, choices=(1, 2, 3), default=1, help="of aggregator and peers")
    parser.add_argument(
        "--mix", action="store_true", help="aggregator: also 2 %% corrections, 5 %% quantities, 1 %% conflicts"
    )
    parser.add_argument(
        "--people", type=int, default=0, metavar="N",
        help="aggregator: also uses that name an actor, of N people in a large organization, and a run",
    )  # fmt: skip
    parser.add_argument(
        "--history", type=int, default=0, metavar="DAYS", help="aggregator: also into a ledger of that many days"
    )
    parser.add_argument("--history-rows", type=int, default=1_000_000, help="ledger rows of each of these days")
    parser.add_argument("--ledger-rows", type=int, default=30_000_000, help="scale: the most ledger rows before a run")
    parser.add_argument("--axes", nargs="+", choices=AXES, default=AXES, help="of scale")
    parser.add_argument("--json", type=Path, help="scale: write the figures here, and their plot beside it")
    parser.add_argument("--per-second", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--crossings", type=int, default=200)
    options = parser.parse_args()
    for part in options.parts or PARTS:
        measure(part, options)


def measure(part: str, options: argparse.Namespace) -> None:
    events, runs = options.events, options.runs
    match part:
        case "aggregator":
            asyncio.run(
                bench_aggregator(
                    events,
                    runs,
                    options.aggregators,
                    mix=options.mix,
                    people=options.people,
                    history_days=options.history,
                    history_rows=options.history * options.history_rows,
                )
            )
        case "ingest" | "adapters":
            asyncio.run((bench_ingest if part == "ingest" else bench_adapters)(min(events, 300_000), runs))
        case "latency":
            asyncio.run(bench_latency(runs, options.per_second, options.seconds))
        case "alerts":
            asyncio.run(bench_sweep(runs))
            asyncio.run(bench_alerts(runs, options.per_second, options.crossings))
        case "queries" | "people":
            asyncio.run((bench_queries if part == "queries" else bench_people)(runs, options.seconds))
        case "csv":
            asyncio.run(bench_csv(runs))
        case "dashboard":
            asyncio.run(bench_dashboard(runs))
        case "peers":
            asyncio.run(bench_peers(events, runs, options.aggregators))
        case "limits":
            uvloop.run(bench_limits(events, runs))  # as the aggregator
        case "scale":
            asyncio.run(bench_growth(events, options.axes, options.ledger_rows, options.json))
        case "decode" | "forecast":
            bench_decode(min(events, 200_000), runs) if part == "decode" else bench_forecast(runs)


if __name__ == "__main__":
    main()
