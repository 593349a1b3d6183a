"""The launcher installs once, again when something changed or was interrupted, and one at a time."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from flexcredits_local.folders import REPOSITORY

# Stands in for uv: notes how it was called, and does what the launcher relies on. `broken` makes a call fail.
UV = """#!/bin/sh
echo "$*" >> "{folder}/calls"
[ -e "{folder}/broken" ] && [ "$1" = pip ] && exit 1
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
    """A repository with one member, a launcher, and a uv that only pretends."""

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

    def calls(self) -> list[str]:
        """What uv was asked for since the last look."""
        notes = self.folder / "calls"
        lines = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return [" ".join(line.split()[:1] if line.startswith("venv") else line.split()[3:4]) for line in lines]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_first_start_installs_and_hands_over(checkout: Checkout) -> None:
    done = checkout.launch("token", "--role", "admin")
    assert done.stdout == "handed over: -P -m flexcredits_local token --role admin\n"
    assert checkout.calls() == ["venv", "sync", "install"]


def test_second_start_installs_nothing(checkout: Checkout) -> None:
    checkout.launch()
    checkout.calls()
    assert checkout.launch().returncode == 0
    assert checkout.calls() == []


@pytest.mark.parametrize("file", ["requirements.lock", "part/pyproject.toml"])
def test_change_of_what_is_installed_installs_again(checkout: Checkout, file: str) -> None:
    checkout.launch()
    checkout.calls()
    with (checkout.folder / file).open("a") as changed:
        changed.write("# changed\n")
    checkout.launch()
    assert checkout.calls() == ["sync", "install"]


def test_new_member_installs_again_and_other_configuration_does_not(checkout: Checkout) -> None:
    checkout.launch()
    checkout.calls()
    root = checkout.folder / "pyproject.toml"
    root.write_text(root.read_text() + "[tool.ruff]\n")
    checkout.launch()
    assert checkout.calls() == []
    shutil.copytree(checkout.folder / "part", checkout.folder / "another")
    root.write_text(root.read_text().replace('["part"]', '["part", "another"]'))
    checkout.launch()
    assert checkout.calls() == ["sync", "install"]


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
    assert checkout.calls() == ["sync", "install"]


def test_two_at_once_install_once(checkout: Checkout) -> None:
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(checkout.launch().returncode)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0]
    assert checkout.calls() == ["venv", "sync", "install"]


def test_home_takes_everything_that_is_made(checkout: Checkout, tmp_path: Path) -> None:
    before = sorted(path.name for path in checkout.folder.iterdir())
    checkout.launch(FLEXCREDITS_HOME=str(tmp_path / "home"))
    assert (tmp_path / "home" / "venv" / "bin" / "python").exists()
    checkout.calls()
    assert sorted(path.name for path in checkout.folder.iterdir()) == before
