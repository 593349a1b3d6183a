"""Starts programs in order, restarts those that exit, and stops all of them in reverse order."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from flexcredits_cli.processes.console import Console
from flexcredits_cli.processes.programs import Process, Program, describe_exit

POLL_S = 0.1
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
# After this run time a program counts as stable, and its next crash resets the pause between restarts.
STABLE_AFTER_S = 60.0


class Stopped(Exception):
    """A stop was requested before all programs were ready."""


@dataclass
class Supervised:
    """A supervised program and its current run."""

    process: Process
    started_at: float
    pause_s: float = FIRST_PAUSE_S
    restart_at: float | None = None


class Supervisor:
    """Use as a context manager in the main thread: it handles the signals, and its exit stops every program.

    The first SIGINT, SIGTERM or SIGHUP stops everything in order, the second kills the remaining ones.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._watched: list[Supervised] = []
        self._requests = 0
        self._handlers: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> "Supervisor":
        self._console.when_gone = self.request_stop
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, lambda _number, _frame: self.request_stop())
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_all()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def stopping(self) -> bool:
        return self._requests > 0

    def request_stop(self) -> None:
        """Same as a signal: the first call stops in order, the second kills."""
        self._requests += 1

    def start(self, *programs: Program) -> None:
        """Start programs concurrently and wait until all are ready.

        Raises SetupProblem if a program does not become ready, and Stopped if a signal arrives first.
        """
        started = []
        for program in programs:
            self.check()
            watched = Supervised(Process(program, self._console.write_line), time.monotonic())
            self._watched.append(watched)
            started.append(watched)
        for watched in started:
            watched.process.wait_ready(given_up=lambda: self.stopping)
            self.check()
            took = time.monotonic() - watched.started_at
            self._console.report(f"{watched.process.program.name} is ready after {took:.1f} s")

    def check(self) -> None:
        """Raise Stopped if a stop was requested."""
        if self.stopping:
            raise Stopped

    def keep_running(self) -> None:
        """Supervise all programs until a signal. A program that exits is restarted after a pause, which grows."""
        while not self.stopping:
            for watched in self._watched:
                self._restart_if_exited(watched)
            time.sleep(POLL_S)

    def _restart_if_exited(self, watched: Supervised) -> None:
        now, program = time.monotonic(), watched.process.program
        code = watched.process.exit_code
        if code is None:
            return
        if watched.restart_at is None:
            watched.process.close()
            if now - watched.started_at > STABLE_AFTER_S:
                watched.pause_s = FIRST_PAUSE_S
            watched.restart_at = now + watched.pause_s
            self._console.report(f"{program.name} {describe_exit(code)}; it restarts in {watched.pause_s:.1f} s")
            watched.pause_s = min(watched.pause_s * 2, LONGEST_PAUSE_S)
        elif now >= watched.restart_at:
            watched.process = Process(program, self._console.write_line)
            watched.started_at, watched.restart_at = now, None

    def _stop_all(self) -> None:
        if self._watched:
            self._console.report("stopping everything; a second Ctrl-C kills what still runs")
        for watched in reversed(self._watched):
            watched.process.stop(impatient=lambda: self._requests > 1)
        if self._watched:
            self._console.report("everything has stopped")
        self._watched.clear()
