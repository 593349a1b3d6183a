"""Processor time and memory of process trees, from Linux's /proc."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

TICKS = os.sysconf("SC_CLK_TCK")
LISTENING = "0A"  # the state of such a socket in /proc/net/tcp


def listener(port: int) -> int | None:
    """The process that listens on a TCP port of this machine; None if there is none that we may see."""
    inodes = {f"socket:[{inode}]" for inode in listening_inodes(port)}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            for descriptor in folder.iterdir():
                with suppress(OSError):
                    if os.readlink(descriptor) in inodes:
                        return int(folder.parent.name)
    return None


def listening_inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(FileNotFoundError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def stat_of(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on (proc(5)); None if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def children_of(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        stat = stat_of(int(folder.name))
        if stat and int(stat[1]) == pid:
            found.append(int(folder.name))
    return found


def own_cpu(pid: int) -> float:
    """User and system seconds of a process without its children; 0 if it has ended."""
    stat = stat_of(pid)
    return (int(stat[11]) + int(stat[12])) / TICKS if stat else 0.0


def exact_cpu(pid: int) -> float:
    """User and system seconds of a process without its children, to the nanosecond (clock_getcpuclockid(3) of Linux): /proc
    counts in hundredths of a second. Raises OSError if it has ended."""
    return time.clock_gettime(~pid << 3 | 2)


def tree_cpu(pid: int | None) -> float:
    """Seconds of a process, of its children, and of the children that it has waited for; 0 if it has ended."""
    stat = stat_of(pid) if pid else None
    if pid is None or stat is None:
        return 0.0
    return sum(map(int, stat[11:15])) / TICKS + sum(map(own_cpu, children_of(pid)))


def peak_memory_mib(pid: int) -> float:
    """The highest resident memory of a process until now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@dataclass(frozen=True)
class Servers:
    """The processes of the broker and of the database server; None if they do not run on this machine."""

    kafka: int | None
    postgres: int | None

    @classmethod
    def find(cls, bootstrap: str, dsn: str) -> "Servers":
        return cls(listener(int(bootstrap.rpartition(":")[2])), listener(urlsplit(dsn).port or 5432))

    def cpu(self) -> tuple[float, float]:
        """Seconds of Postgres and of Kafka until now."""
        return tree_cpu(self.postgres), tree_cpu(self.kafka)


@dataclass(frozen=True)
class Cost:
    """Processor seconds of a run by process, the peak memory of each process of the application, and the WAL written."""

    app_cpu_s: float
    postgres_cpu_s: float
    kafka_cpu_s: float
    memory_mib: list[float]
    wal_bytes: int

    def us_per_event(self, events: int) -> tuple[float, float, float]:
        """Microseconds of processor per event of the application, Postgres and Kafka."""
        return self.app_cpu_s / events * 1e6, self.postgres_cpu_s / events * 1e6, self.kafka_cpu_s / events * 1e6

    def describe(self, events: int) -> str:
        app, postgres, kafka = self.us_per_event(events)
        memory = " + ".join(f"{each:.0f}" for each in self.memory_mib)
        return (
            f"CPU per event {app + postgres + kafka:.1f} us (app {app:.1f}, Postgres {postgres:.1f}, Kafka {kafka:.1f}),"
            f" {memory} MiB, {self.wal_bytes / events:.0f} B of WAL per event"
        )
