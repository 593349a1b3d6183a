"""Several processes that share a port: requests, metrics, live streams and the end of each."""

import asyncio
import os
import signal
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest
from support.data.table_rows import TableRows
from support.infra.service_process import ServiceProcess, eventually, free_port, running
from support.infra.stack import Database
from support.services.query_api import AUDIENCE, ISSUER, UNSUBSCRIBE_SECRET, IdentityProvider

ANSWERED = 'flexcredits_query_api_request_seconds_count{route="/api/v1/overview",status="200"}'
STREAMS = "flexcredits_query_api_live_streams"


@pytest.fixture
def environment(database: Database, provider: IdentityProvider) -> dict[str, str]:
    return {
        "POSTGRES_DSN": database.roles["flexcredits_api"],
        "HTTP_PORT": str(free_port()),
        "HTTP_PROCESSES": "2",
        "FLEXCREDITS_ENV": "development",
        "JWKS_URL": provider.url,
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_AUDIENCE": AUDIENCE,
        "FLEXCREDITS_UNSUBSCRIBE_SECRET": UNSUBSCRIBE_SECRET,
    }


def sample(port: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)


def both_ready(process: ServiceProcess) -> bool:
    def ready(port: int) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return process.ready() and ready(process.probe_port + 100)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_both_answer_count_and_end_their_streams(
    db: TableRows, environment: dict[str, str], provider: IdentityProvider
) -> None:
    await db.use(await db.organization(), "api", "namespace", "search", "2026-11-01", 5)
    headers = {"Authorization": f"Bearer {provider.token()}"}
    with running("query_api", environment) as process:
        await eventually(lambda: both_ready(process), what="readiness of both")
        origin, ports = f"http://127.0.0.1:{environment['HTTP_PORT']}", (process.probe_port, process.probe_port + 100)

        async def ask() -> None:  # each on a connection of its own, which either process may accept
            async with httpx.AsyncClient(base_url=origin) as client:
                assert (await client.get("/api/v1/overview", headers=headers)).json()["credits_used"] == "0.000005"

        asked = 0

        async def both_answered() -> bool:
            nonlocal asked
            await asyncio.gather(*(ask() for _ in range(10)))
            asked += 10
            counts = [sample(port, ANSWERED) for port in ports]
            assert sum(counts) == asked
            return all(counts)

        await eventually(both_answered, what="answers of both")

        ends: list[int] = []

        async def follow() -> None:
            async with (
                httpx.AsyncClient(base_url=origin, timeout=30) as client,
                client.stream("GET", "/api/v1/live", headers=headers) as stream,
            ):
                assert stream.status_code == 200
                async for _ in stream.aiter_bytes():
                    pass
                ends.append(1)

        streams = [asyncio.create_task(follow()) for _ in range(12)]
        await eventually(lambda: sum(sample(port, STREAMS) for port in ports) == 12, what="streams")
        process.send(signal.SIGTERM)
        await asyncio.gather(*streams)
        assert len(ends) == 12
        assert await asyncio.to_thread(process.wait) == 0


async def test_when_one_ends_all_end_so_that_all_are_started_again(environment: dict[str, str]) -> None:
    with running("query_api", environment) as process:
        await eventually(lambda: both_ready(process), what="readiness of both")
        one, other = children_of(process.pid)
        os.kill(one, signal.SIGKILL)
        assert await asyncio.to_thread(process.wait) == 1
        with pytest.raises(ProcessLookupError):
            os.kill(other, 0)


async def test_they_end_with_a_parent_that_was_killed(environment: dict[str, str]) -> None:
    with running("query_api", environment) as process:
        await eventually(lambda: both_ready(process), what="readiness of both")
        children = children_of(process.pid)
        process.kill()

        def ended() -> bool:  # or waits as a zombie for the init process
            return all(
                not Path(f"/proc/{pid}").exists() or not Path(f"/proc/{pid}/cmdline").read_text() for pid in children
            )

        await eventually(ended, what="the end of the children")
