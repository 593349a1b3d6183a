"""L2: services are killed by SIGKILL at every named point, at the first, second and third pass; another process continues."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alerter.queues.outbox import LEASE_S
from support.data.usage_source import ALLOWANCES, Source
from support.faults.failpoints import POINTS
from support.faults.fault_stage import find_lasting_violations, until_applied
from support.infra.service_process import (
    ServiceProcess,
    aggregator_environment,
    alerter_environment,
    eventually,
    running,
)
from support.infra.stack import Database, Topics
from support.invariants.log import find_violations
from support.services.alerter import Script, age, smtp_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HITS = (1, 2, 3)
AT_THE_MAIL_SERVER = "smtp_after_data_before_250"
"""Not a failpoint of the alerter: the test kills it while the mail server holds its answer to a mail."""
SMOKE = {
    "before_begin": (1,),
    "after_commit": (1,),
    "after_refused_copy": (1,),
    "outbox_after_send": (2,),
    AT_THE_MAIL_SERVER: (2,),
}
"""The subset that CI runs."""
TESTS = str(Path(__file__).parents[1])
ONE_AFTER_THE_OTHER = {f"org_{total}": f"{total}" for total in (300, 600, 1200, 2400, 4800)}
"""Contracted credits by organization. Each uses 200 credits in half a second, so they cross their thresholds at different times,
and a slow machine still claims mails three times."""


def sweep(*names: str) -> list[Any]:
    return [
        pytest.param(name, hit, marks=pytest.mark.smoke if hit in SMOKE.get(name, ()) else pytest.mark.faults)
        for name in names
        for hit in HITS
    ]


def points_of(service: str) -> list[str]:
    return [name for name, point in POINTS.items() if point.service == service]


@pytest.fixture
async def mailbox() -> AsyncIterator[Script]:
    async with smtp_server() as server:
        yield server


def start_failing(point: str, hit: int, environment: dict[str, str]) -> ServiceProcess:
    return ServiceProcess(
        "support.faults.failpoints", environment | {"FAILPOINT": f"{point}:{hit}", "PYTHONPATH": TESTS}
    )


def kill_at_mail(hit: int, alerter: ServiceProcess) -> Callable[[int], str]:
    def answer(taken: int) -> str:
        if taken == hit:
            alerter.send(signal.SIGKILL)
        return "250 taken"

    return answer


async def pour_until_it_dies(source: Source, process: ServiceProcess) -> None:
    """Raises AssertionError unless the process ends by its own SIGKILL."""
    await eventually(lambda: process.exit_code is not None or process.ready(), what="readiness")
    try:
        async with asyncio.timeout(40):
            seed = 0
            while process.exit_code is None:
                await source.pour(200, 0.5, seed)
                seed += 1
        assert process.exit_code == -signal.SIGKILL, process.log
    finally:
        process.forget()


@pytest.mark.parametrize(("point", "hit"), sweep(*points_of("aggregator")))
async def test_aggregator_killed_at(topics: Topics, database: Database, point: str, hit: int) -> None:
    source = Source(topics)
    await source.introduce(ALLOWANCES)
    environment = aggregator_environment(database, topics, CONSUMER_INSTANCE="one")
    await pour_until_it_dies(source, start_failing(point, hit, environment))
    with running("aggregator", environment):
        await until_applied(topics, database.dsn)
        violations = await find_violations(topics, database.dsn, source.acknowledged)
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize(("point", "hit"), sweep(*points_of("alerter"), AT_THE_MAIL_SERVER))
async def test_alerter_killed_at(topics: Topics, database: Database, mailbox: Script, point: str, hit: int) -> None:
    source = Source(topics)
    await source.introduce(ONE_AFTER_THE_OTHER)
    more = {"SWEEP_INTERVAL_S": "1", "CONSUMER_INSTANCE": "one"}
    environment = alerter_environment(database, topics, mailbox.port, **more)
    with running("aggregator", aggregator_environment(database, topics)):
        if point == AT_THE_MAIL_SERVER:
            dying = ServiceProcess("alerter", environment)
            mailbox.answer_data = kill_at_mail(hit, dying)
        else:
            dying = start_failing(point, hit, environment)
        await pour_until_it_dies(source, dying)
        await asyncio.sleep(0.5)  # its last bytes arrive at the mail server and Postgres
        connection = await asyncpg.connect(database.dsn)
        known = await connection.fetch("SELECT recipient, message_id FROM email_outbox WHERE state = 'sent'")
        unrecorded = set(mailbox.got) - {(row["recipient"], row["message_id"]) for row in known}
        await age(connection, timedelta(seconds=LEASE_S))
        await connection.close()
        with running("alerter", environment):
            await until_applied(topics, database.dsn)
            violations = await find_violations(topics, database.dsn, source.acknowledged)
            violations += await find_lasting_violations(topics, database.dsn, mailbox, len(unrecorded))
    assert not violations, "\n".join(violations)
