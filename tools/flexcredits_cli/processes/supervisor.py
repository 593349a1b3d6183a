"""Starts programs in order, starts those that crash again, and stops all of them in reverse order."""

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
# A program that ran this long was well; its next crash is a first one again.
WELL_AFTER_S = 60.0


class Stopped(Exception):
    """Somebody asked us to stop while things were still starting."""


@dataclass
class Watched:
    """A program that has been ready once, and its present run."""

    process: Process
    started_at: float
    pause_s: float = FIRST_PAUSE_S
    restart_at: float | None = None


class Supervisor:
    """Use as a context manager in the main thread: it takes over the signals and leaves nothing behind.

    The first SIGINT, SIGTERM or SIGHUP stops everything in order, the second kills what is left.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._watched: list[Watched] = []
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
        """As a signal does: the first time in order, the second time at once."""
        self._requests += 1

    def start(self, *programs: Program) -> None:
        """Start programs side by side and wait until all are ready.

        SetupProblem when one of them does not get there, Stopped when a signal comes first.
        """
        started = []
        for program in programs:
            self.check()
            watched = Watched(Process(program, self._console.write_line), time.monotonic())
            self._watched.append(watched)
            started.append(watched)
        for watched in started:
            watched.process.wait_ready(given_up=lambda: self.stopping)
            self.check()
            took = time.monotonic() - watched.started_at
            self._console.tell(f"{watched.process.program.name} is ready after {took:.1f} s")

    def check(self) -> None:
        """Raise Stopped if somebody asked us to stop."""
        if self.stopping:
            raise Stopped

    def keep_running(self) -> None:
        """Watch everything until a signal; what exits is started again, after pauses that grow."""
        while not self.stopping:
            for watched in self._watched:
                self._look_after(watched)
            time.sleep(POLL_S)

    def _look_after(self, watched: Watched) -> None:
        now, program = time.monotonic(), watched.process.program
        code = watched.process.exit_code
        if code is None:
            return
        if watched.restart_at is None:
            watched.process.close()
            if now - watched.started_at > WELL_AFTER_S:
                watched.pause_s = FIRST_PAUSE_S
            watched.restart_at = now + watched.pause_s
            self._console.tell(f"{program.name} {describe_exit(code)}; it starts again in {watched.pause_s:.1f} s")
            watched.pause_s = min(watched.pause_s * 2, LONGEST_PAUSE_S)
        elif now >= watched.restart_at:
            watched.process = Process(program, self._console.write_line)
            watched.started_at, watched.restart_at = now, None

    def _stop_all(self) -> None:
        if self._watched:
            self._console.tell("stopping everything; a second Ctrl-C kills what is left")
        for watched in reversed(self._watched):
            watched.process.stop(impatient=lambda: self._requests > 1)
        if self._watched:
            self._console.tell("everything has stopped")
        self._watched.clear()
