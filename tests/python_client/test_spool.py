"""The spool's files: what is found again after a crash at any byte."""

import asyncio
import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from flexcredits_client import AsyncClient, Client, Options
from flexcredits_client.buffers import spool as spool_module
from flexcredits_client.buffers.segment import HEAD
from flexcredits_client.buffers.spool import Spool
from flexcredits_client.outbox import Outbox
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.services.scripted_ingest import ScriptedIngest, refuse

from .conftest import quick

ROOM = 1 << 20


def open_spool(folder: Path, fsync_s: float | None = None) -> Spool:
    return Spool(folder, ROOM, fsync_s)


def everything(spool: Spool) -> list[bytes]:
    return spool.head(1 << 30, 1 << 60)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.log"))


def test_events_are_found_again_in_their_order(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    events = [b"%d" % number * 100 for number in range(2000)]
    for event in events:
        spool.append(event)
    assert spool.head(3, 1 << 30) == events[:3]
    spool.drop(2)
    spool.close()
    again = open_spool(tmp_path)
    assert everything(again) == events  # the first two are sent again: copies are counted once
    again.drop(len(events))
    assert segments(tmp_path) == []
    again.close()


def test_sent_events_leave_by_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 1000)
    spool = open_spool(tmp_path)
    for _ in range(100):
        spool.append(b"x" * 100)
    assert len(segments(tmp_path)) == 10
    assert spool.head(35, 1 << 30) == [b"x" * 100] * 35
    spool.drop(35)
    assert len(segments(tmp_path)) == 7
    assert len(spool) == 65
    spool.close()
    again = open_spool(tmp_path)
    assert len(again) == 70
    again.close()


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=6), st.data())
def test_a_file_cut_at_any_byte_keeps_the_whole_records_before(
    tmp_path_factory: pytest.TempPathFactory, events: list[bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = open_spool(folder)
    ends = [0]
    for event in events:
        spool.append(event)
        ends.append(ends[-1] + HEAD.size + len(event))
    spool.close()
    cut = data.draw(st.integers(0, ends[-1]))
    zeros = data.draw(st.sampled_from([0, 1, 7, 8, 9, 4096]))
    [path] = segments(folder)
    with path.open("r+b") as file:
        file.truncate(cut)
        file.truncate(cut + zeros)  # a power failure may leave a length without its data
    again = open_spool(folder)
    whole = sum(end <= cut for end in ends[1:])
    found = everything(again)
    # Zeros can complete a record that really ends with zeros.
    assert found[:whole] == events[:whole]
    assert len(found) == whole or found == events[: len(found)]
    again.append(b"after the crash")
    assert everything(again) == [*found, b"after the crash"]
    again.close()
    assert not list(folder.rglob("*.damaged"))


def test_a_damaged_record_is_kept_and_what_is_before_it_is_sent(tmp_path: Path, expected_errors: list[str]) -> None:
    expected_errors.append("wrong length or checksum")
    spool = open_spool(tmp_path)
    for number in range(3):
        spool.append(b"event %d" % number)
    spool.close()
    [path] = segments(tmp_path)
    content = bytearray(path.read_bytes())
    content[HEAD.size + len(b"event 0") + HEAD.size] ^= 1
    path.write_bytes(content)
    for _ in range(2):  # also if the next process crashes before it has sent them
        again = open_spool(tmp_path)
        assert everything(again) == [b"event 0"]
        again.close()
    assert [kept.read_bytes() for kept in tmp_path.rglob("*.damaged")] == [bytes(content)]


@pytest.mark.parametrize(("byte", "change"), [(3, 0x40), (2, 0x7F), (1, 0x40), (0, 0x01), (4, 0x01)])
def test_a_damaged_length_or_checksum_is_no_torn_end(
    tmp_path: Path, expected_errors: list[str], byte: int, change: int
) -> None:
    expected_errors.append("wrong length or checksum")
    spool = open_spool(tmp_path)
    events = [json.dumps({"id": str(number), "text": "x" * 300}).encode() for number in range(5)]
    for event in events:
        spool.append(event)
    spool.close()
    [path] = segments(tmp_path)
    content = bytearray(path.read_bytes())
    content[HEAD.size + len(events[0]) + byte] ^= change
    path.write_bytes(content)
    again = open_spool(tmp_path)
    assert everything(again) == events[:1]
    again.close()
    assert [kept.read_bytes() for kept in tmp_path.rglob("*.damaged")] == [bytes(content)]


def test_every_damaged_file_is_kept(tmp_path: Path, expected_errors: list[str]) -> None:
    """The numbers of files begin again when all events were sent."""
    expected_errors += ["wrong length or checksum"] * 2
    contents = []
    for number in range(2):
        spool = open_spool(tmp_path)
        for event in (b"event %d" % number, b"another %d" % number):
            spool.append(event)
        spool.close()
        [path] = segments(tmp_path)
        content = bytearray(path.read_bytes())
        content[HEAD.size] ^= 1
        path.write_bytes(content)
        contents.append(bytes(content))
        open_spool(tmp_path).close()
    assert sorted(kept.read_bytes() for kept in tmp_path.rglob("*.damaged")) == sorted(contents)


def test_an_event_that_the_disk_refuses_is_not_queued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(Options(spool=tmp_path, fsync_s=0))
    outbox.add(b"{}", 0)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        for _ in range(2):
            with pytest.raises(OSError, match="does not answer"):
                outbox.add(b"{}" * 50, 0)
    outbox.add(b"[]", 0)
    assert outbox.batch() == [b"{}", b"[]"]
    assert (outbox.recorded, outbox.stats().queued) == (2, 2)
    outbox.close()
    again = open_spool(tmp_path)
    assert everything(again) == [b"{}", b"[]"]
    again.close()


class Stopped(Exception):
    """What the handler of a signal raises."""


def test_an_event_that_was_stored_before_a_handler_raised_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise `flush` would return one event too early from then on."""
    outbox = Outbox(Options(spool=tmp_path, fsync_s=0))
    outbox.add(b"{}", 0)

    def stop(descriptor: int) -> None:
        raise Stopped

    with monkeypatch.context() as interrupted, suppress(Stopped):
        interrupted.setattr(os, "fsync", stop)
        outbox.add(b"{}", 0)
    assert outbox.recorded == len(outbox.batch()) == 2
    outbox.close()


@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_fsync_s_holds_when_nothing_more_is_recorded(
    ingest: ScriptedIngest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """While the service does not answer, nothing else would write to the disk."""
    ingest.plan = lambda events: refuse(503, Retry_After="30")
    synced, fsync = threading.Event(), os.fsync
    options = quick(spool=tmp_path, fsync_s=0.3)

    def note(descriptor: int) -> None:
        fsync(descriptor)
        if retried.is_set():
            synced.set()

    retried = threading.Event()

    class Log(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "sent again" in record.getMessage():
                retried.set()

    handler = Log()
    logging.getLogger("flexcredits_client").addHandler(handler)
    monkeypatch.setattr(os, "fsync", note)
    try:
        if kind == "threads":
            client = Client(ingest.url, "fc_test", "/p", options)
            for _ in range(2):  # the second one is not written at once
                client.record("org_acme", "assistant", "tool", "jira", credits="1")
            assert synced.wait(10)
            client.close(0)
        else:
            asyncio.run(record_and_wait(ingest.url, options, synced))
    finally:
        logging.getLogger("flexcredits_client").removeHandler(handler)


async def record_and_wait(url: str, options: Options, synced: threading.Event) -> None:
    client = AsyncClient(url, "fc_test", "/p", options)
    for _ in range(2):
        await client.record("org_acme", "assistant", "tool", "jira", credits="1")
    assert await asyncio.to_thread(synced.wait, 10)
    await client.close(0)


def test_a_folder_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for spool in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="file"):
            Client("http://127.0.0.1:1", "fc_test", "/p", Options(spool=spool))


def test_each_process_has_its_own_folder_and_takes_over_what_others_left(tmp_path: Path) -> None:
    first, second = open_spool(tmp_path), open_spool(tmp_path)
    first.append(b"first")
    second.append(b"second")
    third = open_spool(tmp_path)
    assert everything(third) == []
    third.append(b"third")
    for spool in (second, first):
        spool.close()
    following = open_spool(tmp_path)
    assert everything(following) == [b"first", b"second"]
    assert everything(third) == [b"third"]
    following.close()
    third.close()


def test_it_is_full_at_its_bytes(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000, None)
    taken = 0
    while spool.has_room(92):
        spool.append(b"x" * 92)
        taken += 1
    assert taken == 10
    spool.head(10, 1000)
    spool.drop(10)
    assert spool.has_room(92)
    spool.close()


def test_a_full_disk_is_an_error_for_the_caller_and_loses_nothing_else(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append(b"before")
    limit = os.path.getsize(segments(tmp_path)[0]) + 5
    program = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from pathlib import Path
from flexcredits_client.buffers.spool import Spool
spool = Spool(Path({str(tmp_path / "other")!r}), 10**6, None)
spool.append(b"before")
for _ in range(2):
    try:
        spool.append(b"too much")
    except OSError:
        print("refused")
spool.close()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=30)
    assert done.stdout == "refused\nrefused\n", done.stderr
    other = open_spool(tmp_path / "other")
    assert everything(other) == [b"before"]
    other.close()
    spool.close()


class Crashes(RuleBasedStateMachine):
    """Any order of appending, reading, dropping and crashes agrees with a list."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.spool = open_spool(self.folder)
        self.left: list[bytes] = []
        self.number = 0

    @rule(size=st.sampled_from([1, 50, 400_000]), fsync_s=st.none())
    def append(self, size: int, fsync_s: None) -> None:
        self.number += 1
        event = b"%d." % self.number + b"x" * size
        if self.spool.has_room(len(event)):
            self.spool.append(event)
            self.left.append(event)

    @rule(count=st.integers(1, 5))
    def read_and_drop(self, count: int) -> None:
        head = self.spool.head(count, 1 << 40)
        assert head == self.left[:count]
        self.spool.drop(len(head))
        del self.left[:count]

    @rule()
    def read(self) -> None:
        assert self.spool.head(3, 100) == self.left[: len(self.spool.head(3, 100))]

    @precondition(lambda self: self.number)
    @rule()
    def crash(self) -> None:
        """The process ends; the next one may find events again that were dropped, in order, before the others."""
        self.spool.abandon()
        self.spool = open_spool(self.folder)
        found = everything(self.spool)
        assert found[len(found) - len(self.left) :] == self.left
        self.left = list(found)

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.spool) == len(self.left)
        assert self.spool.bytes == sum(path.stat().st_size for path in segments(self.folder))

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.folder)


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(max_examples=40, stateful_step_count=25)


def test_the_content_is_readable_with_standard_tools(tmp_path: Path) -> None:
    """A record is length, CRC-32 and JSON: an operator can recover it by hand."""
    spool = open_spool(tmp_path)
    spool.append(json.dumps({"id": "1"}).encode())
    spool.close()
    [path] = segments(tmp_path)
    assert path.read_bytes().endswith(b'{"id": "1"}')
    assert path.stat().st_mode & 0o777 == 0o600


class Interrupted(Exception):
    """What the handler of a signal raises, as sys.exit would."""


def test_a_signal_in_the_middle_of_an_append_damages_nothing(tmp_path: Path) -> None:
    spool, taken, interruptions, armed, done = open_spool(tmp_path), [], 0, False, threading.Event()

    def interrupt(*_: object) -> None:
        if armed:
            raise Interrupted

    def send_signals() -> None:
        for _ in range(300):
            done.wait(0.0005)
            os.kill(os.getpid(), signal.SIGUSR1)
        done.set()

    before = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Thread(target=send_signals)
    sender.start()
    number = 0
    while not done.is_set():
        number += 1
        event = b"%d." % number + b"x" * (number % 50)
        try:
            armed = True
            spool.append(event)
            armed = False
            taken.append(event)
        except Interrupted:
            interruptions += 1
        finally:
            armed = False
    sender.join(5)
    signal.signal(signal.SIGUSR1, before)
    acknowledged = set(taken)
    assert [event for event in everything(spool) if event in acknowledged] == taken
    spool.close()
    again = open_spool(tmp_path)
    assert [event for event in everything(again) if event in acknowledged] == taken
    again.drop(len(again))
    again.close()
    assert interruptions > 10
    assert not list(tmp_path.rglob("*.damaged"))
