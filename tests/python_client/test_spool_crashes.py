"""The spool when its process dies at each call of the operating system, one after the other: nothing that was taken is lost."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from flexcredits_client.buffers import spool as spool_module
from flexcredits_client.buffers.spool import Spool


class Died(BaseException):
    """The process ends here."""


class Machine:
    """Counts the calls that change files, and dies at one of them: before it, or after it."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.calls, self._at, self._after = 0, at, after
        self.is_dead = False

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            if self.is_dead:  # nothing of a dead process runs any more
                raise Died
            self.calls += 1
            if self.calls == self._at and not self._after:
                self._die()
            result = call(*arguments, **more)
            if self.calls == self._at:
                self._die()
            return result

        return wrapped

    def _die(self) -> None:
        self.is_dead = True
        raise Died


CALLS = ("open", "pwrite", "fsync", "rename", "unlink", "mkdir", "ftruncate", "link")


@contextmanager
def running_on(machine: Machine) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:  # pathlib calls them too
            patch.setattr(os, name, machine.wrap(getattr(os, name)))
        with suppress(Died):
            yield


def left_behind(folder: Path) -> list[bytes]:
    """Two processes before this one have died, the second one with a torn record."""
    slots = [Spool(folder, 1 << 20, None) for _ in range(2)]
    events = [b"left by %d" % number for number in range(2)]
    for slot, event in zip(slots, events, strict=True):
        slot.append(event)
    for slot in slots:
        slot.close()
    [torn] = (folder / "slot-001").glob("*.log")
    torn.write_bytes(torn.read_bytes() + b"\x40\0\0\0abcd{")
    return events


@pytest.mark.parametrize("fsync_s", [None, 0.0])
@pytest.mark.parametrize("after", [False, True])
def test_nothing_that_was_taken_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool, fsync_s: float | None
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 40)
    at = 0
    while True:
        at += 1
        folder, machine = tmp_path / str(at), Machine(at, after=after)
        taken, sent = left_behind(folder), list[bytes]()
        alive: list[Spool] = []
        with running_on(machine):
            spool = Spool(folder, 1 << 20, fsync_s)
            alive.append(spool)
            for number in range(8):
                event = b"%d" % number * 20
                spool.append(event)
                taken.append(event)
                if number % 3 == 2:
                    head = spool.head(3, 1 << 20)
                    sent += head
                    spool.drop(len(head))
            spool.close()
        for each in alive:  # as the operating system does it
            each.abandon()
        close_descriptors(folder)
        following = Spool(folder, 1 << 20, None)
        found = following.head(1 << 20, 1 << 40)
        following.close()
        assert [event for event in taken if event not in sent] == [
            event for event in found if event in taken and event not in sent
        ]
        assert len(set(found)) == len(found)
        assert not list(folder.rglob("*.damaged"))
        if not machine.is_dead:
            assert machine.calls > 15
            return


def close_descriptors(folder: Path) -> None:
    """As at the end of a process. A constructor that died has left its lock open."""
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(folder)):
                os.close(int(descriptor))
