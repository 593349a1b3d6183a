"""`up` starts the whole stack: its JSON line, two runs on the same data, and a stop that leaves no process behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from flexcredits_cli.machine.state_folder import StateFolder
from flexcredits_cli.stack.services import answers
from support.infra.full_stack import running_stack, state_of_its_own

# A stack is up within eight seconds on an idle machine, and there are up to three of them in a test.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.embedded("starts, kills and wipes the servers of `up`"),
]
KEYS = {
    "ingest_url",
    "query_url",
    "mailbox",
    "kafka_bootstrap",
    "postgres_dsn",
    "ingest_key",
    "issuer_url",
    "metrics_urls",
    "health_urls",
}


@pytest.fixture(scope="module")
def home() -> Iterator[StateFolder]:
    with state_of_its_own() as folder:
        yield folder


def processes_of(home: StateFolder) -> list[str]:
    """Command lines of processes with this state folder in their arguments or environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            identity = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue  # the process has ended, or belongs to another user
        if str(home.root).encode() in identity and int(folder.name) != os.getpid():
            found.append(identity.replace(b"\0", b" ").decode(errors="replace")[:200])
    return found


async def count_migrations(dsn: str) -> int:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM schema_migrations"))
    finally:
        await connection.close()


async def test_up_prints_where_everything_is_and_keeps_data(home: StateFolder) -> None:
    with running_stack(home) as (process, first):
        assert set(first) >= KEYS
        assert Path(first["mailbox"]).is_dir()
        assert await count_migrations(first["postgres_dsn"]) > 0
        assert json.loads(home.description.read_text()) == first
        for url in [*first["health_urls"].values(), *first["metrics_urls"].values()]:
            assert answers(url)
    assert process.returncode == 0
    assert not home.description.exists()
    assert processes_of(home) == []

    with running_stack(home) as (_, second):
        assert second["ingest_key"] == first["ingest_key"]
    with running_stack(home, "--fresh") as (_, third):
        assert third["ingest_key"] != first["ingest_key"]


def test_sigkill_of_up_leaves_no_orphan_and_the_next_start_recovers(home: StateFolder) -> None:
    with running_stack(home) as (process, _):
        process.kill()
        process.wait()
    with running_stack(home) as (_, description):
        assert httpx.get(description["query_url"] + "/docs").status_code == 200
    assert processes_of(home) == []


def test_second_up_names_the_first(home: StateFolder) -> None:
    with running_stack(home) as (process, _):
        environment = {**os.environ, "FLEXCREDITS_HOME": str(home.root)}
        command = [sys.executable, "-P", "-m", "flexcredits_cli", "up"]
        refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1
        assert f"(process {process.pid})" in refused.stderr
