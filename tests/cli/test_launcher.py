"""The launcher installs once, again after a change or an interruption, and never twice at the same time."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from flexcredits_cli.cli import app
from flexcredits_cli.machine.state_folder import REPOSITORY

# A fake uv: records its calls and creates the files that the launcher needs. With a file `broken`, `uv pip` fails.
UV = """#!/bin/sh
echo "$*" >> "{folder}/calls"
[ "$1" = pip ] && echo "uv talks"
[ -e "{folder}/broken" ] && [ "$1" = pip ] && echo "uv complains" >&2 && exit 1
[ "$1" = venv ] || exit 0
for last; do :; done
mkdir -p "$last/bin"
cat > "$last/bin/python" <<END
#!/bin/sh
if [ "\\$1" = -c ]; then exec "{python}" "\\$@"; fi
echo "handed over: \\$*"
END
chmod +x "$last/bin/python"
"""


class Checkout:
    """A repository with one member, a launcher, and the fake uv."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "part").mkdir(parents=True)
        (folder / "programs").mkdir()
        shutil.copy(REPOSITORY / "flexcredits", folder / "flexcredits")
        (folder / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["part"]\n')
        (folder / "part" / "pyproject.toml").write_text('[project]\nname = "part"\n')
        (folder / "requirements.lock").write_text("thing==1\n")
        uv = folder / "programs" / "uv"
        uv.write_text(UV.format(folder=folder, python=sys.executable))
        uv.chmod(0o755)

    def launch(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name != "FLEXCREDITS_HOME"}
        path = f"{self.folder / 'programs'}:{os.environ['PATH']}"
        command: Sequence[str] = [sys.executable, str(self.folder / "flexcredits"), *arguments]
        environment = {**inherited, "PATH": path, **environment}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)

    def notes(self) -> list[str]:
        notes = self.folder / "calls"
        return notes.read_text().splitlines() if notes.exists() else []

    def calls(self) -> list[str]:
        """uv's subcommands since the last call of this method."""
        lines = self.notes()
        (self.folder / "calls").unlink(missing_ok=True)
        return ["venv" if line.startswith("venv") else line.split()[1] for line in lines]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_first_start_installs_and_hands_over(checkout: Checkout) -> None:
    done = checkout.launch("token", "--role", "admin")
    assert done.stdout == "handed over: -P -m flexcredits_cli token --role admin\n"
    assert checkout.calls() == ["venv", "install"]


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_installs_nothing(checkout: Checkout, arguments: tuple[str, ...]) -> None:
    began = time.monotonic()
    done = checkout.launch(*arguments)
    assert (done.returncode, done.stderr, checkout.calls()) == (0, "", [])
    assert time.monotonic() - began < 5
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    commands = [command.name for command in app.registered_commands] + [group.name for group in app.registered_groups]
    assert set(listed) == {name for name in commands if name}


def test_test_tools_come_with_the_first_command_that_needs_them_and_stay(checkout: Checkout) -> None:
    checkout.launch("demo")
    assert checkout.notes()[-1].startswith("pip install --quiet")
    assert f"--exact --constraint {checkout.folder}/requirements.lock -e" in checkout.notes()[-1]
    checkout.calls()
    checkout.launch("test", "--help")
    assert checkout.calls() == []
    checkout.launch("test")
    assert checkout.calls() == ["sync", "install"]
    (checkout.folder / ".venv" / "bin" / "pytest").touch()
    checkout.launch("demo")
    assert checkout.calls() == []


def test_installers_are_heard_only_when_they_fail_or_with_verbose(checkout: Checkout) -> None:
    (checkout.folder / "broken").touch()
    assert "uv complains" in checkout.launch("demo").stderr
    (checkout.folder / "broken").unlink()
    quiet = checkout.launch("demo")
    assert "uv talks" not in quiet.stderr
    assert len(quiet.stderr.splitlines()) == 1
    (checkout.folder / "requirements.lock").write_text("thing==2\n")
    loud = checkout.launch("--verbose", "demo")
    assert "uv talks" in loud.stderr
    assert loud.stdout == "handed over: -P -m flexcredits_cli demo\n"
    assert checkout.launch("test", "--verbose").stdout == "handed over: -P -m flexcredits_cli test --verbose\n"


def test_second_start_installs_nothing(checkout: Checkout) -> None:
    checkout.launch("up")
    checkout.calls()
    assert checkout.launch("up").returncode == 0
    assert checkout.calls() == []


@pytest.mark.parametrize("file", ["requirements.lock", "part/pyproject.toml"])
def test_a_changed_lock_or_member_installs_again(checkout: Checkout, file: str) -> None:
    checkout.launch("up")
    checkout.calls()
    with (checkout.folder / file).open("a") as changed:
        changed.write("# changed\n")
    checkout.launch("up")
    assert checkout.calls() == ["install"]


def test_new_member_installs_again_and_other_configuration_does_not(checkout: Checkout) -> None:
    checkout.launch("up")
    checkout.calls()
    root = checkout.folder / "pyproject.toml"
    root.write_text(root.read_text() + "[tool.ruff]\n")
    checkout.launch("up")
    assert checkout.calls() == []
    shutil.copytree(checkout.folder / "part", checkout.folder / "another")
    root.write_text(root.read_text().replace('["part"]', '["part", "another"]'))
    checkout.launch("up")
    assert checkout.calls() == ["install"]


def test_failed_installation_says_so_and_is_repeated(checkout: Checkout) -> None:
    (checkout.folder / "broken").touch()
    failed = checkout.launch("up")
    assert failed.returncode == 1
    assert "could not install the packages of requirements.lock" in failed.stderr
    assert "HTTPS_PROXY" in failed.stderr
    assert failed.stdout == ""
    (checkout.folder / "broken").unlink()
    checkout.calls()
    assert checkout.launch("up").returncode == 0
    assert checkout.calls() == ["install"]


def test_two_at_once_install_once(checkout: Checkout) -> None:
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(checkout.launch("up").returncode)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0]
    assert checkout.calls() == ["venv", "install"]


def test_home_takes_everything_that_is_made(checkout: Checkout, tmp_path: Path) -> None:
    before = sorted(path.name for path in checkout.folder.iterdir())
    checkout.launch("up", FLEXCREDITS_HOME=str(tmp_path / "home"))
    assert (tmp_path / "home" / "venv" / "bin" / "python").exists()
    checkout.calls()
    assert sorted(path.name for path in checkout.folder.iterdir()) == before
