"""Child processes: they end with their parent, their output is read line by line, and a stop kills them after a deadline."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flexcredits_cli.terminal.problem import SetupProblem

END_WITH_PARENT = Path(__file__).with_name("end_with_parent.py")
POLL_S = 0.05  # short compared with any start, and a low load on two busy cores

WriteLine = Callable[[str, str], None]
"""Takes the program's name and one line of its output, without the newline."""


@dataclass(frozen=True)
class Program:
    """A program to run, and how to check that it is ready."""

    name: str
    argv: Sequence[str]
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    parting_signal: signal.Signals = signal.SIGKILL
    """The kernel sends it when the supervisor itself is killed."""
    stop_within_s: float = 20.0
    ready_within_s: float = 60.0
    log_file: Path | None = None
    """The program's log file; error messages quote its end."""


class Process:
    """One run of a program. Start it from the main thread: the kernel ends the program when the starting thread ends."""

    def __init__(self, program: Program, write_line: WriteLine) -> None:
        self.program = program
        self._write_line = write_line
        argv = [sys.executable, "-I", "-S", str(END_WITH_PARENT), str(os.getpid())]
        argv += [str(int(program.parting_signal)), program.user or "-", *program.argv]
        self._popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **program.environment},
            cwd=program.folder,
            process_group=0,  # Ctrl-C in the terminal reaches only the supervisor, which stops programs in order
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, name=f"{program.name}-output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while the program runs; negative if a signal ended it, as in `subprocess`."""
        return self._popen.poll()

    def wait_ready(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Block until the program is ready. Raises SetupProblem if it ends or exceeds `ready_within_s`.

        Returns early, without an error, when `given_up` returns True.
        """
        deadline = time.monotonic() + self.program.ready_within_s
        while not given_up():
            if self.exit_code is not None:
                self._reader.join(timeout=5)
                raise SetupProblem(
                    f"{self.program.name} {describe_exit(self.exit_code)} before it was ready{self._where()}"
                )
            if self.program.is_ready():
                return
            if time.monotonic() > deadline:
                raise SetupProblem(
                    f"{self.program.name} was not ready after {self.program.ready_within_s:.0f} s{self._where()}"
                )
            time.sleep(POLL_S)

    def ask_to_stop(self) -> None:
        """Send the program its stop signal. Does nothing if it has ended."""
        self._popen.send_signal(self.program.stop_signal)

    def stop(self, impatient: Callable[[], bool] = lambda: False) -> None:
        """Stop the program and wait: stop signal first, SIGKILL for its group after the deadline or when `impatient` is True."""
        deadline = time.monotonic() + self.program.stop_within_s
        self.ask_to_stop()
        while self.exit_code is None:
            if impatient() or time.monotonic() > deadline:
                self.kill()
            time.sleep(POLL_S)
        self.close()

    def kill(self) -> None:
        """Kill the process and its group."""
        if self._popen.poll() is None:
            os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()

    def close(self) -> None:
        """Close the output of a process that has ended."""
        # A grandchild may still hold the pipe. The reader is a daemon thread, so it does not block the exit.
        self._reader.join(timeout=5)
        if self._popen.stdout is not None and not self._reader.is_alive():
            self._popen.stdout.close()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            self._write_line(self.program.name, line.rstrip("\n"))

    def _where(self) -> str:
        log_file = self.program.log_file
        if log_file is None or not log_file.exists():
            return "; its output is above"
        last_lines = "\n".join(log_file.read_text(errors="replace").splitlines()[-15:])
        return f". The end of {log_file}:\n{last_lines}"


def describe_exit(code: int) -> str:
    """`exited with 3`, or `was ended by SIGKILL`."""
    return f"exited with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
