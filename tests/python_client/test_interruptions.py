"""Clients that are interrupted: by signals, finalizers, cancellation, loops that end, and the end of the process."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from flexcredits_client import AsyncClient, ClientClosed, Reason, Rejected
from support.services.scripted_ingest import ACCEPT, SLOW, ScriptedIngest, refuse

from .conftest import quick
from .test_processes import ENVIRONMENT, PREPARE, run


def run_with_errors(ingest: ScriptedIngest, program: str, spool: Path | str = "", age_s: float = 0.01) -> str:
    """What the program prints to stderr. It ends with 0."""
    command = [sys.executable, "-c", PREPARE + program, ingest.url, str(spool), str(age_s)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("spool", [False, True])
def test_a_signals_handler_may_record(ingest: ScriptedIngest, tmp_path: Path, spool: bool) -> None:
    """It may have interrupted `record`, whose lock this thread holds then."""
    program = """
import signal, threading
signal.signal(signal.SIGUSR1, lambda *_: record())
done = threading.Event()
def send_signals():
    for _ in range(300):
        done.wait(0.0005)
        os.kill(os.getpid(), signal.SIGUSR1)
    done.set()
threading.Thread(target=send_signals).start()
while not done.is_set():
    client.record("org_acme", "assistant", "tool", "jira", credits="1")
assert client.flush(30)
"""
    ids = run(ingest, program, tmp_path if spool else "")
    assert len(ids) > 10
    assert set(ids) <= ingest.ids


@pytest.mark.parametrize("call", ["close", "flush"])
def test_close_in_a_signals_handler_fails_instead_of_waiting_for_itself(ingest: ScriptedIngest, call: str) -> None:
    program = f"""
import signal
raised = []
def handle(*_):
    try:
        client.{call}(5)
    except RuntimeError as error:
        raised.append(error)
signal.signal(signal.SIGUSR1, handle)
with client._lock:  # where record may be
    os.kill(os.getpid(), signal.SIGUSR1)
assert "interrupted the client" in str(raised[0])
record()
"""
    assert len(run(ingest, program)) == 1
    assert len(ingest.ids) == 1


def test_a_finalizer_may_record(ingest: ScriptedIngest) -> None:
    """The garbage collector runs whenever an object is made, also in `record`: it may end a stream that was given up."""
    program = """
import gc
gc.set_threshold(1)
number = 0
class Given:
    def __init__(self):
        self.itself = self
    def __del__(self):
        global number
        number += 1
        record()
for _ in range(300):
    Given()
    client.record("org_acme", "assistant", "tool", "jira", credits="1")
gc.disable()
gc.collect()
assert number == 300
"""
    ids = run(ingest, program)
    assert len(ids) == 300
    assert set(ids) <= ingest.ids
    assert len(ingest.ids) == 600


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_the_end_of_a_process_waits_close_s_for_all_clients_together(ingest: ScriptedIngest, kind: str) -> None:
    ingest.plan = lambda events: SLOW
    program = f"""
import asyncio, time, atexit
from dataclasses import replace
options = replace(options, close_s=1.0, answer_s=30.0)
clients = [{kind}(url, "fc_test", "/p", options) for _ in range(3)]
async def main():
    for each in clients:
        recorded = each.record("org_acme", "assistant", "tool", "jira", credits="1")
        if {kind} is AsyncClient:
            await recorded
asyncio.run(main())
"""
    began = time.monotonic()
    errors = run_with_errors(ingest, program, age_s=60)
    assert errors.count("1 events were not delivered") == 3
    assert time.monotonic() - began < 6, "close_s of all, a second more for each async client, and the interpreter"


def test_the_end_of_a_process_does_not_take_the_time_of_a_service_that_answers(ingest: ScriptedIngest) -> None:
    """One client's service is gone; the other clients' events still arrive."""
    program = """
import asyncio
from dataclasses import replace
options = replace(options, close_s=1.0)
gone = [kind("http://127.0.0.1:9", "fc_test", "/p", options) for kind in (Client, AsyncClient)]
there = [kind(url, "fc_test", "/p", options) for kind in (Client, AsyncClient)]
async def main():
    for each in [gone[0], there[0]]:
        each.record("org_acme", "assistant", "tool", "jira", credits="1")
    for each in [gone[1], there[1]]:
        await each.record("org_acme", "assistant", "tool", "jira", credits="1")
asyncio.run(main())
"""
    run_with_errors(ingest, program, age_s=60)
    assert len(ingest.ids) == 2


def test_a_loop_in_another_thread_is_used_at_the_end(ingest: ScriptedIngest) -> None:
    """Two senders of one queue would take events of each other for sent."""
    program = """
import asyncio, threading, time
from dataclasses import replace
loop = asyncio.new_event_loop()
threading.Thread(target=lambda: loop.run_until_complete(asyncio.sleep(60)), daemon=True).start()
other = AsyncClient(url, "fc_test", "/p", replace(options, batch_events=1, batch_age_s=0))
async def main():
    for _ in range(400):
        os.write(1, (await other.record("org_acme", "assistant", "tool", "jira", credits="1") + "\\n").encode())
asyncio.run_coroutine_threadsafe(main(), loop).result()
"""
    ids = run(ingest, program)
    assert len(ids) == 400
    assert ingest.ids == set(ids)
    assert set(ingest.copies.values()) == {1}


def test_without_a_thread_flush_returns_and_the_end_sends(ingest: ScriptedIngest) -> None:
    """From Python 3.12 on, no thread can be started in atexit; elsewhere a limit on threads may be reached."""
    program = """
import threading
def refuse(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
record()
assert not client.flush()
record()
"""
    ids = run(ingest, program)
    assert ingest.ids == set(ids)
    assert len(ids) == 2


def test_record_after_the_end_raises(ingest: ScriptedIngest) -> None:
    """In a callback of atexit that was registered before the client was imported."""
    program = """
import atexit
from flexcredits_client import ClientClosed, lifecycle
def late():
    try:
        record()
    except ClientClosed:
        os.write(1, b"raised\\n")
atexit.unregister(lifecycle.close_all)
atexit.register(late)
atexit.register(lifecycle.close_all)
first = record()
"""
    *ids, last = run(ingest, program)
    assert (ingest.ids, last) == (set(ids), "raised")


async def test_a_cancelled_record_is_not_queued_and_others_are_sent_once(ingest: ScriptedIngest) -> None:
    ingest.plan = lambda events: refuse(503)
    client = AsyncClient(ingest.url, "fc_test", "/p", quick(queue_events=2, block_s=60))
    ids = {await client.record("org_acme", "assistant", "tool", "jira", credits="1") for _ in range(2)}
    waiting = asyncio.create_task(client.record("org_acme", "assistant", "tool", "late", credits="1"))
    async with asyncio.timeout(5):
        while client.stats().retries < 2:
            await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    ingest.plan = lambda events: ACCEPT
    assert await client.close()
    assert ingest.ids == ids
    assert set(ingest.copies.values()) == {1}


async def test_a_cancelled_sender_starts_again_for_those_who_wait(ingest: ScriptedIngest) -> None:
    """Frameworks cancel every task of the loop."""
    ingest.plan = lambda events: refuse(503) if len(ingest.requests) < 3 else ACCEPT
    client = AsyncClient(ingest.url, "fc_test", "/p", quick(queue_events=1, block_s=10))
    ids = {await client.record("org_acme", "assistant", "tool", "jira", credits="1")}
    flush = asyncio.create_task(client.flush(10))
    record = asyncio.create_task(client.record("org_acme", "assistant", "tool", "jira", credits="1"))
    async with asyncio.timeout(10):
        while not client.stats().retries:
            await asyncio.sleep(0.005)
        assert client._task
        client._task.cancel()
        assert await flush
        ids.add(await record)
        assert await client.close()
    assert ingest.ids == ids
    assert set(ingest.copies.values()) == {1}


async def test_a_cancelled_close_loses_nothing(ingest: ScriptedIngest, expected_errors: list[str]) -> None:
    expected_errors.append("not delivered")
    ingest.plan = lambda events: refuse(503)
    reported: list[Rejected] = []
    client = AsyncClient(ingest.url, "fc_test", "/p", quick(on_rejected=reported.append))
    event_id = await client.record("org_acme", "assistant", "tool", "jira", credits="1")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.close(), 0.1)
    with pytest.raises(ClientClosed):
        await client.record("org_acme", "assistant", "tool", "jira", credits="1")
    assert not await client.close(0)
    assert [(each.id, each.reason) for each in reported] == [(event_id, Reason.UNDELIVERED)]


async def test_a_cancelled_block_records_what_it_has_used(ingest: ScriptedIngest) -> None:
    client = AsyncClient(ingest.url, "fc_test", "/p", quick())
    has_read = asyncio.Event()

    async def block() -> None:
        async with client.usage("org_acme", "assistant") as call:
            call.read({"model": "gpt-5", "usage": {"prompt_tokens": 7, "completion_tokens": 1}})
            has_read.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await has_read.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await client.close()
    [event] = ingest.stored.values()
    assert event["data"]["quantities"] == {"input_tokens": "7", "output_tokens": "1"}
