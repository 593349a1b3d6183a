"""Faults under a stream of usage, and the offline checker's result."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest
from support.faults.fault_stage import Stage, endure, lose_commits, open_stage
from support.infra.stack import Topics, throwaway_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.embedded("kills and freezes its server")]


@pytest.fixture
async def stage(topics: Topics) -> AsyncIterator[Stage]:
    with throwaway_folder() as folder:
        async with open_stage(topics, folder) as opened:
            yield opened


@pytest.mark.smoke
async def test_f6_commits_whose_answer_is_lost(stage: Stage) -> None:
    await endure(stage, lose_commits)
    assert stage.logs == [], "the aggregator was restarted, it should retry by itself"


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT])
async def test_f5_postgres_killed_and_back(stage: Stage, number: signal.Signals) -> None:
    await endure(stage, lambda stage: stage.restart_postgres(number, down_s=2))
    assert stage.logs == []


@pytest.mark.faults
async def test_f7_postgres_slow_and_its_rows_locked(stage: Stage) -> None:
    async def slow(stage: Stage) -> None:
        stage.proxy.delay_s = 0.25
        await asyncio.sleep(5)
        stage.proxy.delay_s = 0

    async def lock(stage: Stage) -> None:
        connection = await asyncpg.connect(stage.database.dsn)
        async with connection.transaction():
            await connection.execute("SELECT FROM partition_progress FOR UPDATE")
            await asyncio.sleep(12)  # longer than the aggregator waits for a lock
        await connection.close()

    await endure(stage, slow, lock)
    assert stage.logs == []


@pytest.mark.faults
async def test_f8_postgres_receives_and_its_answers_are_lost(stage: Stage) -> None:
    async def one_way(stage: Stage) -> None:
        stage.proxy.flowing.clear()
        await asyncio.sleep(8)
        stage.proxy.flowing.set()

    async def cut(stage: Stage) -> None:
        await stage.proxy.cut()
        await asyncio.sleep(3)
        await stage.proxy.restore()

    await endure(stage, one_way, cut)


@pytest.mark.faults
async def test_f9_three_aggregators_come_and_go(stage: Stage) -> None:
    chance = random.Random(9)
    for _ in range(2):
        stage.start()

    async def storm(stage: Stage) -> None:
        frozen = chance.choice(stage.aggregators)
        frozen.send(signal.SIGSTOP)
        for _ in range(6):
            await asyncio.sleep(3)
            victim = chance.choice([each for each in stage.aggregators if each is not frozen])
            victim.send(chance.choice([signal.SIGKILL, signal.SIGTERM]))
        frozen.send(signal.SIGCONT)

    await endure(stage, storm)


@pytest.mark.faults
async def test_f20_postgres_restored_to_an_earlier_point(stage: Stage) -> None:
    await stage.source.pour(3_000, 3.0, seed=5)
    await stage.quiesce()
    server = await asyncpg.connect(stage.server.dsn())
    name = stage.database.dsn.rpartition("/")[2]

    async def alone(*statements: str) -> None:
        """While no client is connected."""
        await stage.proxy.cut()
        await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        for statement in statements:
            await server.execute(statement)
        await stage.proxy.restore()

    await alone(f'CREATE DATABASE earlier TEMPLATE "{name}"')

    async def restore(_: Stage) -> None:
        await asyncio.sleep(4)
        await alone(f'ALTER DATABASE "{name}" RENAME TO lost', f'ALTER DATABASE earlier RENAME TO "{name}"')

    await endure(stage, restore, seed=6)
    await server.close()
