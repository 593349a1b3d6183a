"""F22 and F23: one organization with nearly all load, and an aggregator that the kernel kills for its memory use."""

import asyncio
import itertools
import json
import os
import random
import secrets
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from runtime.kafka.clients import open_producer
from support.data.factories import usage
from support.faults.fault_stage import Stage, endure, open_stage
from support.infra.service_process import ServiceProcess, eventually
from support.infra.stack import Topics, throwaway_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(300)]
HOT_EVENTS, AGENTS, HOT_OVER_S = 200_000, 100_000, 40.0
VISIBLE_WITHIN_S, MEMORY_MB_MAX = 5.0, 1024
MEMORY = Path("/sys/fs/cgroup/memory")
TOO_LITTLE = 512 * 1024
"""Bytes. A backlog of some thousand records needs more."""


@pytest.fixture
async def stage(topics: Topics) -> AsyncIterator[Stage]:
    with throwaway_folder() as folder:
        async with open_stage(topics, folder, shared_buffers="256MB") as opened:
            yield opened


async def send_hot(stage: Stage) -> None:
    """Usage of 100,000 different agents of one organization, nine tenths of it to one partition."""
    chance = random.Random(22)
    async with open_producer(stage.topics.bootstrap, "faults") as producer:
        for start in range(0, HOT_EVENTS, 1000):
            sent = []
            for number in range(start, start + 1000):
                event = usage(
                    product="agents", feature_kind="feature", feature="steps", credits="0.010000",
                    agent={"id": f"agt_{number % AGENTS}", "name": f"Agent {number % AGENTS}", "kind": "saved"},
                )  # fmt: skip
                partition = 0 if chance.random() < 0.9 else chance.randrange(4)
                sent.append(
                    await producer.send(stage.topics.usage_events, json.dumps(event).encode(), partition=partition)
                )
            await asyncio.gather(*sent)
            await asyncio.sleep(HOT_OVER_S * 1000 / HOT_EVENTS)


async def watch_another(stage: Stage, until: asyncio.Task[None]) -> list[float]:
    """Seconds from Kafka's acknowledgement to the total, for single events of an organization with little usage."""
    latencies: list[float] = []
    connection = await asyncpg.connect(stage.database.dsn)
    async with open_producer(stage.topics.bootstrap, "faults") as producer:
        for number in itertools.count(1):
            if until.done():
                break
            event = usage(credits="1.000000", envelope={"subject": "org_other"})
            await producer.send_and_wait(stage.topics.usage_events, json.dumps(event).encode(), partition=number % 4)
            began = time.monotonic()
            while (
                await connection.fetchval(
                    "SELECT coalesce(sum(credits), 0)::bigint FROM usage_organization_daily JOIN organizations USING (organization_id)"
                    " WHERE organization = 'org_other'"
                )
                < number * 1_000_000
            ):
                await asyncio.sleep(0.02)
            latencies.append(time.monotonic() - began)
            await asyncio.sleep(0.2)
    await connection.close()
    return sorted(latencies)


async def test_f22_hot_organization_with_100_000_agents_delays_no_other(stage: Stage) -> None:
    sending = asyncio.create_task(send_hot(stage))
    latencies = await watch_another(stage, sending)
    await sending
    await stage.quiesce()
    peak = stage.aggregators[0].memory_mb("VmHWM")
    median, worst = latencies[len(latencies) // 2], latencies[-1]
    figures = f"others' events visible after {median:.2f} s, at worst {worst:.2f} s; the aggregator took {peak:.0f} MB"
    print(figures)  # noqa: T201 - for docs/reliability.md
    violations = await stage.find_violations(copies_max=0)
    assert not violations, "\n".join(violations)
    assert worst < VISIBLE_WITHIN_S
    assert peak < MEMORY_MB_MAX
    assert stage.logs == []


@contextmanager
def memory_group(process: ServiceProcess) -> Iterator[Path]:
    """Account the process's memory from now on in its own cgroup."""
    group = MEMORY / f"flexcredits-test-{secrets.token_hex(4)}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(process.pid))
        yield group
    finally:
        process.kill()
        group.rmdir()


def kills_in(group: Path) -> int:
    lines = (group / "memory.oom_control").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


@pytest.mark.skipif(not os.access(MEMORY / "cgroup.procs", os.W_OK), reason="no memory control group can be made here")
async def test_f23_aggregator_killed_for_its_memory(stage: Stage) -> None:
    async def starve(stage: Stage) -> None:
        first = stage.aggregators[0]
        first.kill()
        await eventually(lambda: first not in stage.aggregators, what="another one")
        [victim] = stage.aggregators
        with memory_group(victim) as group:
            await eventually(victim.ready, what="readiness")
            victim.send(signal.SIGSTOP)
            await asyncio.sleep(3)  # a backlog grows
            used = int((group / "memory.usage_in_bytes").read_text())
            (group / "memory.limit_in_bytes").write_text(str(used + TOO_LITTLE))
            victim.send(signal.SIGCONT)
            await eventually(lambda: kills_in(group) > 0, what="the kernel's kill")
            await eventually(lambda: victim not in stage.aggregators, what="another one")

    await endure(stage, starve)
    assert len(stage.logs) == 2
