"""From a product's process, killed again and again, to the totals: real ingest, Kafka, aggregator and Postgres."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import pytest
from flexcredits_cli.stack.api_keys import create_key
from support.data.factories import organization
from support.infra.service_process import ServiceProcess, aggregator_environment, eventually, running
from support.infra.stack import Database, Topics
from support.invariants.log import count_log, find_violations
from support.services.aggregator_process import applied
from support.services.ingest import Ingest, environment

PRODUCT = """
import os, sys
from flexcredits_client import Client, Options
url, key, spool, number = sys.argv[1:]
options = Options(spool=spool, batch_events=50, batch_age_s=0.01, backoff_s=0.02, backoff_max_s=0.1, close_s=60, retry_after_max_s=0.1)
client = Client(url, key, "/products/test", options)
for _ in range(int(number)):
    os.write(1, (client.record("org_acme", "assistant", "tool", "jira", credits="1.25", actor="usr_1") + "\\n").encode())
client.close()
assert client.stats().queued == 0
"""


def start(url: str, key: str, spool: Path, number: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", PRODUCT, url, key, str(spool), str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def kill_after(process: "subprocess.Popen[str]", lines: int) -> list[str]:
    """The ids of all events that were taken before the process died, at least `lines`."""
    assert process.stdout
    ids = [process.stdout.readline().strip() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    ids += process.stdout.read().split()
    process.stdout.close()
    process.wait(20)
    return ids


@pytest.mark.parametrize("kills_ingest", [False, pytest.param(True, marks=pytest.mark.faults)])
async def test_what_record_has_taken_is_in_the_totals_exactly_once_though_its_process_is_killed(
    database: Database, topics: Topics, tmp_path: Path, kills_ingest: bool
) -> None:
    key = await create_key(database.dsn, "*", "*")
    given = environment(database.roles["flexcredits_ingest"], topics)
    url, taken = f"http://127.0.0.1:{given['HTTP_PORT']}", list[str]()
    with ExitStack() as stack:
        counting = stack.enter_context(running("aggregator", aggregator_environment(database, topics)))
        ingest = stack.enter_context(running("ingest", given))
        await eventually(ingest.ready, what="ingest")
        assert (await Ingest(url, "", topics, key).post(organization())).status_code == 202
        for lines in (1, 500):
            taken += await asyncio.to_thread(kill_after, start(url, key, tmp_path, 100_000), lines)
        product = start(url, key, tmp_path, 500)
        assert product.stdout
        if kills_ingest:
            taken += [product.stdout.readline().strip() for _ in range(100)]
            ingest.kill()
            ingest = stack.enter_context(running("ingest", given))
            await eventually(ingest.ready, what="ingest again")
        taken += (await asyncio.to_thread(product.stdout.read)).split()
        assert await asyncio.to_thread(product.wait, 60) == 0
        product.stdout.close()
        await check(counting, database, topics, taken)


async def check(counting: ServiceProcess, database: Database, topics: Topics, taken: list[str]) -> None:
    await eventually(counting.ready, what="aggregator")
    owner = await asyncpg.connect(database.dsn)
    try:
        written = await count_log(topics.bootstrap, topics.usage_events)

        async def all_applied() -> bool:
            return await applied(owner, topics) == written

        await eventually(all_applied, within_s=60, what="everything applied")
        counted = await owner.fetchval("SELECT count(*) FROM usage_ledger")
        credits = await owner.fetchval("SELECT sum(credits)::bigint FROM usage_daily")
    finally:
        await owner.close()
    assert len(set(taken)) == len(taken) >= 1001
    acknowledged = [("org_acme", "/products/test", event_id) for event_id in taken]
    await eventually(lambda: no_violations(topics, database, acknowledged), what="totals published")
    # A process may die between taking an event and saying so.
    assert len(taken) <= counted <= len(taken) + 2
    assert credits == counted * 1_250_000


async def no_violations(topics: Topics, database: Database, acknowledged: list[tuple[str, str, str]]) -> bool:
    return await find_violations(topics, database.dsn, acknowledged) == []
