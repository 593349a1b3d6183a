"""Measures the aggregator, alone and by turns with another log, another database, or Kafka Streams."""

import statistics
from typing import TypeVar
from urllib.parse import urlsplit

from processes import Servers
from servers import kafka_and_postgres
from support.infra.stack import copy_template, make_template, make_topics

from counting.aggregators import CountingRun, count
from counting.history import NOTHING, add_history
from counting.kafka_streams import PeerMissing, PeerRun, build, count_with_peer
from counting.usage_log import MIXED, Shape, fill_topics

Variant = TypeVar("Variant")
RUNS = 0.3
"""Share of the sessions that are a run."""
SESSIONS = "aggregator, sessions"


async def bench_aggregator(
    events: int, runs: int, aggregators: int, *, mix: bool, people: int, history_days: int, history_rows: int
) -> None:
    """Count a log into an empty database; by turns also a mixed log, logs of people with and without their names, or the
    same log into a database with a history. Each is compared with the plain log, and names with the same log without."""
    with kafka_and_postgres() as (bootstrap, server):
        servers = Servers.find(bootstrap, server)
        template = await make_template(server)
        variants = {"aggregator": (template, NOTHING, Shape())}
        if mix:
            variants["aggregator, mixed"] = (template, NOTHING, Shape(mix=MIXED))
        if people:
            shapes = {
                SESSIONS: Shape(people=people, names_people=False),
                f"{SESSIONS} with actors": Shape(people=people),
                f"{SESSIONS} with actors and runs": Shape(people=people, runs=RUNS),
                "aggregator, actors with any series": Shape(people=people, in_sessions=False),
            }
            variants |= {name: (template, NOTHING, shape) for name, shape in shapes.items()}
        if history_days:
            full = urlsplit((await copy_template(server, template)).dsn).path.strip("/")
            history = await add_history(server, full, history_days, history_rows)
            print(f"history of {history_days} days and {history.rows:,} rows inserted", flush=True)
            variants["aggregator, history"] = (full, history, Shape())
        logs = {}
        for name, (_, _, shape) in variants.items():
            topics = await make_topics(bootstrap)
            logs[name] = topics, await fill_topics(bootstrap, topics.usage_events, topics.catalog, events, 1, shape)
        figures: dict[str, list[CountingRun]] = {name: [] for name in variants}
        for run in range(runs):
            for name, (source, history, _) in in_turn(variants, run):
                database, (topics, truth) = await copy_template(server, source), logs[name]
                done = await count(
                    database, topics, truth, servers, aggregators=aggregators,
                    ledger_before=history.rows, credits_before=history.credits,
                )  # fmt: skip
                figures[name].append(done)
                print(f"{name} run {run + 1}: {done.describe()}; exact; {truth.bytes_per_event:.0f} B each", flush=True)
        for name, done_runs in figures.items():
            base = SESSIONS if name.startswith(SESSIONS) and name != SESSIONS else "aggregator"
            share = median_speed(done_runs) / median_speed(figures[base])
            cost = median_cpu(done_runs)
            compared = f"; {share:.2f} of the events/s of {base}, {cost / median_cpu(figures[base]):.2f} of its CPU"
            print(
                f"{name} median of {runs}: {median_speed(done_runs):,.0f} events/s, {cost:.2f} us of CPU of aggregator and"
                f" Postgres each{'' if name == 'aggregator' else compared}",
                flush=True,
            )


async def bench_peers(events: int, runs: int, aggregators: int) -> None:
    """Count one log by turns with the aggregator and with Kafka Streams, on one broker and Postgres."""
    try:
        command = build()
    except PeerMissing as missing:
        print(f"Kafka Streams is skipped: {missing}. Only the aggregator is measured.", flush=True)
        command = []
    with kafka_and_postgres() as (bootstrap, server):
        servers = Servers.find(bootstrap, server)
        template, topics = await make_template(server), await make_topics(bootstrap)
        truth = await fill_topics(bootstrap, topics.usage_events, topics.catalog, events, 1)
        ours: list[CountingRun] = []
        theirs: list[PeerRun] = []

        async def run_ours(run: int) -> None:
            ours.append(
                await count(await copy_template(server, template), topics, truth, servers, aggregators=aggregators)
            )
            print(f"ours, run {run + 1}, {aggregators} aggregators: {ours[-1].describe()}; exact", flush=True)

        async def run_theirs(run: int) -> None:
            theirs.append(await count_with_peer(command, server, bootstrap, topics.usage_events, truth, servers))
            print(f"kafka streams, run {run + 1}: {theirs[-1].describe()}", flush=True)

        turns = {"ours": run_ours} | ({"theirs": run_theirs} if command else {})
        for run in range(runs):
            for _, measure in in_turn(turns, run):
                await measure(run)
        print(summary(ours, theirs), flush=True)
        if not all(done.is_exact for done in theirs):
            raise SystemExit("Kafka Streams was not exact")


def in_turn(variants: dict[str, Variant], run: int) -> list[tuple[str, Variant]]:
    """The variants in an order that alternates from run to run, so that none always follows the other."""
    return list(variants.items())[:: 1 if run % 2 == 0 else -1]


def summary(ours: list[CountingRun], theirs: list[PeerRun]) -> str:
    """The last line of `bench peers`, from medians."""
    speed = median_speed(ours)
    if not theirs:
        return f"ours {speed:,.0f}/s, kafka streams skipped"
    peer = median_speed(theirs)
    return f"ours {speed:,.0f}/s, kafka streams {peer:,.0f}/s, ratio {speed / peer:.2f}"


def median_cpu(runs: list[CountingRun]) -> float:
    """Microseconds of aggregator and Postgres per event."""
    return statistics.median((run.cost.app_cpu_s + run.cost.postgres_cpu_s) / run.events * 1e6 for run in runs)


def median_speed(runs: list[CountingRun] | list[PeerRun]) -> float:
    return statistics.median(run.events_per_second for run in runs)
