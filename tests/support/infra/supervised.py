"""A supervisor in its own process, for tests that kill it: python tests/support/infra/supervised.py FOLDER.

It runs `obedient`, `stubborn` (which ignores the stop signal) and `parent` (which has a child), and writes their
process ids into FOLDER.
"""

import sys
from pathlib import Path

from flexcredits_cli.processes.console import Console
from flexcredits_cli.processes.programs import Program
from flexcredits_cli.processes.supervisor import Stopped, Supervisor

PROGRAMS = {
    "obedient": "import os, time; note(os.getpid()); time.sleep(600)",
    "stubborn": "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); note(os.getpid());"
    " time.sleep(600)",
}
NOTE = "import pathlib, sys; note = lambda pid: pathlib.Path(sys.argv[1]).write_text(str(pid));"


def program(name: str, folder: Path, code: str) -> Program:
    note = folder / name
    argv = [sys.executable, "-c", NOTE + code, str(note)]
    return Program(name, argv, is_ready=lambda: note.exists() and bool(note.read_text()), stop_within_s=60)


def main() -> None:
    folder = Path(sys.argv[1])
    with Supervisor(Console(to_stderr=False)) as supervisor:
        try:
            for name, code in PROGRAMS.items():
                supervisor.start(program(name, folder, code))
            (folder / "started").touch()
            supervisor.keep_running()
        except Stopped:
            sys.exit("stopped early")


if __name__ == "__main__":
    main()
