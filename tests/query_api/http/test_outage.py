"""A Postgres that is stopped while connections wait for it does not end the query API's process."""

import asyncio
import os
import secrets
import signal
from collections import Counter
from pathlib import Path

import asyncpg
import httpx
import pytest
from flexcredits_cli.embedded.postgres import THROWAWAY, EmbeddedPostgres
from flexcredits_cli.embedded.postgres_binaries import find_binaries
from flexcredits_cli.machine.ports import free_ports
from support.data.table_rows import TableRows
from support.faults.fault_stage import start_server
from support.infra.service_process import ServiceProcess, eventually, free_port, running
from support.infra.stack import copy_template, make_template, memory, throwaway_folder
from support.services.query_api import AUDIENCE, ISSUER, UNSUBSCRIBE_SECRET, IdentityProvider

ROUNDS = 3


@pytest.mark.slow
@pytest.mark.embedded("stops and continues its server by signals")
async def test_a_postgres_that_stops_slowly_ends_no_query_api(provider: IdentityProvider) -> None:
    (postgres_port,), port = free_ports(1), free_port()
    with throwaway_folder(memory()) as folder:
        server = EmbeddedPostgres(folder, find_binaries(), postgres_port, secrets.token_hex(16), THROWAWAY)
        server.prepare()
        process = start_server(server, ())
        await asyncio.to_thread(process.wait_ready)
        try:
            database = await copy_template(server.dsn(), await make_template(server.dsn()))
            owner = await asyncpg.connect(database.dsn, timeout=10)
            await TableRows(owner).organization()
            await owner.close()
            environment = {
                "POSTGRES_DSN": database.roles["flexcredits_api"],
                "HTTP_PORT": str(port),
                "FLEXCREDITS_ENV": "development",
                "JWKS_URL": provider.url,
                "TOKEN_ISSUER": ISSUER,
                "TOKEN_AUDIENCE": AUDIENCE,
                "FLEXCREDITS_UNSUBSCRIBE_SECRET": UNSUBSCRIBE_SECRET,
            }
            with running("query_api", environment) as api:
                for _ in range(ROUNDS):
                    await eventually(api.ready, what="readiness")
                    statuses = await ask_while_it_stops(postmaster(folder), port, provider, api)
                    assert statuses.keys() <= {200, 503}, f"{statuses}\n{api.log}"
                    await asyncio.to_thread(process.stop)
                    process = start_server(server, ())
                    await asyncio.to_thread(process.wait_ready)
                await eventually(api.ready, what="readiness")
        finally:
            process.stop()


def postmaster(folder: Path) -> int:
    return int(next(folder.rglob("postmaster.pid")).read_text().splitlines()[0])


async def ask_while_it_stops(pid: int, port: int, provider: IdentityProvider, api: ServiceProcess) -> Counter[int]:
    """Statuses of requests that wait for a paused server, which continues and stops at once, and of later requests."""
    headers = {"Authorization": f"Bearer {provider.token()}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        os.kill(pid, signal.SIGSTOP)
        asked = [asyncio.create_task(client.get("/api/v1/overview")) for _ in range(16)]
        await asyncio.wait(asked, timeout=0.5)
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGINT)
        while len(asked) < 150:
            asked.append(asyncio.create_task(client.get("/api/v1/overview")))
            await asyncio.wait(asked[-1:], timeout=0.005)
        answers = await asyncio.gather(*asked)
        assert api.exit_code is None, api.log
        return Counter(answer.status_code for answer in answers)
