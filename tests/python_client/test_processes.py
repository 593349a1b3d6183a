"""Clients in processes that end, are killed, or fork."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.services.scripted_ingest import ACCEPT, STORE_AND_CLOSE, Behaviour, Event, ScriptedIngest, refuse

PREPARE = """
import os, sys
from flexcredits_client import AsyncClient, Client, Options
url, spool = sys.argv[1], sys.argv[2] or None
options = Options(spool=spool, batch_age_s=float(sys.argv[3]), backoff_s=0.01, backoff_max_s=0.02, close_s=20)
client = Client(url, "fc_test", "/p", options)
def record(number=1):
    for _ in range(number):
        event_id = client.record("org_acme", "assistant", "tool", "jira", credits="1", labels={"process": str(os.getpid())})
        os.write(1, (event_id + "\\n").encode())  # the caller knows that the event is taken
"""
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    "PYTHONWARNINGS": "ignore",
}


def start(ingest: ScriptedIngest, program: str, spool: Path | str = "", age_s: float = 0.01) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PREPARE + program, ingest.url, str(spool), str(age_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)


def run(ingest: ScriptedIngest, program: str, spool: Path | str = "", age_s: float = 0.01) -> list[str]:
    """The ids that the program has recorded."""
    process = start(ingest, program, spool, age_s)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output.split()


@pytest.mark.parametrize(("end", "spool"), [("", False), ("sys.exit(0)", True), ("client.close()", False)])
def test_events_are_sent_at_exit(ingest: ScriptedIngest, tmp_path: Path, end: str, spool: bool) -> None:
    ids = run(ingest, f"record(3)\n{end}", tmp_path if spool else "", age_s=60)
    assert len(ids) == 3
    assert ingest.ids == set(ids)


def test_an_async_client_that_was_not_closed_sends_at_exit(ingest: ScriptedIngest) -> None:
    program = """
import asyncio
async def main():
    client = AsyncClient(url, "fc_test", "/p", options)
    print(await client.record("org_acme", "assistant", "tool", "jira", credits="1"))
asyncio.run(main())  # nothing refers to the client any more
import gc
gc.collect()
"""
    ids = run(ingest, program, age_s=60)
    assert ingest.ids == set(ids) != set()


@pytest.mark.parametrize("spool", [False, True])
def test_a_forked_child_does_not_send_the_events_of_its_parent(
    ingest: ScriptedIngest, tmp_path: Path, spool: bool
) -> None:
    program = """
record(5)
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
    record(3)
else:
    record(4)
"""
    ids = run(ingest, program, tmp_path if spool else "", age_s=60)
    assert len(ids) == 12
    assert ingest.ids == set(ids)
    assert set(ingest.copies.values()) == {1}
    assert not list(tmp_path.rglob("*.log"))


def test_a_fork_in_the_middle_of_sending_changes_nothing(ingest: ScriptedIngest, tmp_path: Path) -> None:
    program = """
for _ in range(20):
    record(20)
    if not os.fork():
        record(2)
        client.close()
        os._exit(0)
for _ in range(20):
    assert os.wait()[1] == 0
"""
    ids = run(ingest, program)
    assert len(ids) == 440
    assert ingest.ids == set(ids)
    assert set(ingest.copies.values()) == {1}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_sends_at_its_end(ingest: ScriptedIngest, tmp_path: Path, method: str) -> None:
    """It ends by os._exit, which skips atexit."""
    module = tmp_path / "program.py"
    module.write_text(
        PREPARE + f"import multiprocessing\nif __name__ == '__main__':\n"
        f"    child = multiprocessing.get_context({method!r}).Process(target=record, args=(3,))\n"
        f"    child.start()\n    child.join()\n    assert child.exitcode == 0\n    record(2)\n"
    )
    command = [sys.executable, module, ingest.url, "", "60"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 0, done.stderr
    assert ingest.ids == set(done.stdout.split())
    assert len(ingest.ids) == 5


def test_a_killed_process_loses_nothing_that_record_has_taken(ingest: ScriptedIngest, tmp_path: Path) -> None:
    chance = random.Random(17)

    def plan(events: list[Event]) -> Behaviour:
        return chance.choice([ACCEPT, STORE_AND_CLOSE, refuse(503)])

    ingest.plan = plan
    taken: list[str] = []
    for lines in (1, 500):
        process = start(ingest, "while True: record()", tmp_path)
        assert process.stdout
        for _ in range(lines):
            taken.append(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        taken += process.stdout.read().split()
        process.stdout.close()
        process.wait(60)
    ingest.plan = lambda events: ACCEPT
    assert run(ingest, "assert client.flush(30)", tmp_path) == []
    assert len(set(taken)) == len(taken) > 500
    assert set(taken) <= ingest.ids
    assert len(ingest.ids - set(taken)) <= 2, "a process may die between taking an event and saying so"
    assert not list(tmp_path.rglob("*.log"))


def test_the_thread_that_sends_imports_nothing(ingest: ScriptedIngest) -> None:
    """A fork in the middle of an import leaves a locked, half-initialised module in the child. httpx imports late."""
    program = """
known = set(sys.modules)
record(20)
client.flush()
https = Client("https://localhost:1", "fc_test", "/p", options)
https.record("org_acme", "assistant", "tool", "jira", credits="1")
https.flush(0.5)
print(sorted(set(sys.modules) - known))
sys.stdout.flush()
os._exit(0)
"""
    *ids, imported = run(ingest, program)
    assert len(ids) == 20
    assert imported == "[]"
