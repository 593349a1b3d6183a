"""Writes the output of all processes to the terminal; each line has its program's name and colour."""

import os
import sys
import threading
from collections.abc import Callable
from typing import TextIO

NAME_WIDTH = 10
COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
OWN_NAME = "stack"


class Console:
    """Writes whole lines from any thread. With `to_stderr`, stdout is reserved for the JSON line."""

    def __init__(self, *, to_stderr: bool, when_gone: Callable[[], None] = lambda: None) -> None:
        self._stream: TextIO = sys.stderr if to_stderr else sys.stdout
        self._coloured = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._colours: dict[str, int] = {}
        self._lock = threading.Lock()
        self._gone = False
        self.when_gone = when_gone

    def write_line(self, name: str, line: str) -> None:
        """One line of the program called `name`."""
        prefix = f"{name:<{NAME_WIDTH}} |"
        with self._lock:
            if self._coloured:
                colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
                prefix = f"\033[{colour}m{prefix}\033[0m"
            self._write(f"{prefix} {line}\n")

    def report(self, line: str) -> None:
        """Write one line of the stack itself."""
        self.write_line(OWN_NAME, line)

    def write_text(self, text: str) -> None:
        """Write text without a prefix, so that the user can copy it."""
        with self._lock:
            self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        if self._gone:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            # The reader of our output has exited (`up | head`), so the stack stops in order.
            self._gone = True
            self.when_gone()
