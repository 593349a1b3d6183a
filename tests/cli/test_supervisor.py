"""The supervisor starts programs in order, restarts crashed ones, and leaves no process behind, even after SIGKILL."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flexcredits_cli.processes.console import Console
from flexcredits_cli.processes.programs import Program
from flexcredits_cli.processes.supervisor import Supervisor
from flexcredits_cli.stack.description import is_alive
from flexcredits_cli.terminal.problem import SetupProblem
from support.infra import supervised

SCRIPT = Path(supervised.__file__)


def wait_until(holds: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether the process has ended. A zombie counts as ended."""
    status = Path(f"/proc/{pid}/stat")
    return not is_alive(pid) or (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.fixture
def supervisor_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, SCRIPT, tmp_path], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: (tmp_path / "started").exists() or process.poll() is not None)
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=10)


def pids(folder: Path) -> list[int]:
    return [int((folder / name).read_text()) for name in supervised.PROGRAMS]


def test_sigkill_of_the_supervisor_leaves_no_orphan(supervisor_process: subprocess.Popen[str], tmp_path: Path) -> None:
    children = pids(tmp_path)
    supervisor_process.kill()
    wait_until(lambda: all(gone(pid) for pid in children))


def test_second_ctrl_c_kills_what_does_not_stop(supervisor_process: subprocess.Popen[str], tmp_path: Path) -> None:
    obedient, stubborn = pids(tmp_path)
    supervisor_process.send_signal(signal.SIGINT)
    assert supervisor_process.stdout is not None
    wait_until(lambda: "stopping everything" in (supervisor_process.stdout or sys.stdin).readline())
    assert not gone(stubborn)
    supervisor_process.send_signal(signal.SIGINT)
    assert supervisor_process.wait(timeout=15) == 0
    assert gone(obedient)
    assert gone(stubborn)


def test_ctrl_c_in_the_terminal_does_not_reach_the_children(
    supervisor_process: subprocess.Popen[str], tmp_path: Path
) -> None:
    # Otherwise services would end before the supervisor stops them in order.
    assert all(os.getpgid(pid) == pid for pid in pids(tmp_path))


def test_crashed_program_is_started_again(tmp_path: Path) -> None:
    note = tmp_path / "restless"
    program = supervised.program("restless", tmp_path, supervised.PROGRAMS["obedient"])
    seen: list[int] = []

    def kill_once() -> None:
        first = int(note.read_text())
        seen.append(first)
        note.unlink()
        os.kill(first, signal.SIGKILL)
        wait_until(program.is_ready)
        seen.append(int(note.read_text()))
        os.kill(os.getpid(), signal.SIGINT)

    with Supervisor(Console(to_stderr=True)) as supervisor:
        supervisor.start(program)
        killer = threading.Thread(target=kill_once)
        killer.start()
        supervisor.keep_running()
        killer.join()
    assert len(set(seen)) == 2
    assert all(gone(pid) for pid in seen)


def test_program_that_ends_before_it_is_ready_fails_the_start() -> None:
    broken = Program("broken", [sys.executable, "-c", "print('no such setting'); exit(3)"], is_ready=lambda: False)
    with Supervisor(Console(to_stderr=True)) as supervisor, pytest.raises(SetupProblem, match="broken exited with 3"):
        supervisor.start(broken)


def test_output_is_prefixed_with_the_programs_name(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr, flush=True); import time; time.sleep(60)"
    with Supervisor(Console(to_stderr=False)) as supervisor:
        supervisor.start(Program("chatty", [sys.executable, "-u", "-c", code], is_ready=lambda: True))
        output = ""
        deadline = time.monotonic() + 10
        while "err" not in output and time.monotonic() < deadline:
            output += capfd.readouterr().out
            time.sleep(0.02)
    assert "chatty     | out\n" in output
    assert "chatty     | err\n" in output
