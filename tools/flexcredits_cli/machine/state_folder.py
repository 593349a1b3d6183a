"""The folder of the local stack's persistent files: downloads, data, secrets and logs."""

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flexcredits_cli.terminal.problem import SetupProblem

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class StateFolder:
    """The state folder of one checkout: FLEXCREDITS_HOME, or `.flexcredits` by default."""

    root: Path

    @property
    def jars(self) -> Path:
        """Downloads, shared by all stacks that use this folder; `--fresh` keeps them."""
        return self.root / "jars"

    @property
    def bytecode(self) -> Path:
        """Compiled Python modules of programs that tests start."""
        return self.root / "bytecode"

    @property
    def clients(self) -> Path:
        """Foreign clients that tests install."""
        return self.root / "clients"

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def mailbox(self) -> Path:
        return self.root / "mailbox"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def description(self) -> Path:
        """The JSON description of the running stack; it exists only while one runs."""
        return self.root / "stack.json"

    @property
    def environments(self) -> Path:
        """The environments of the running stack's services, as JSON. Private: it contains their passwords."""
        return self.root / "environments.json"

    def make(self) -> "StateFolder":
        """Create the folder; idempotent. Raises SetupProblem if this user may not write there.

        Other users may traverse it: PostgreSQL refuses to run as root, and then reads its data below this folder as
        another user. Secrets are 0600 inside a 0700 folder.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with suppress(PermissionError):  # a mounted volume of another user
                self.root.chmod(0o711)
            self.secrets.mkdir(mode=0o700, exist_ok=True)
        except PermissionError as error:
            raise self._not_writable() from error
        if not all(os.access(path, os.W_OK | os.X_OK, effective_ids=True) for path in (self.root, self.secrets)):
            raise self._not_writable()
        return self

    def _not_writable(self) -> SetupProblem:
        existing = next(
            path for path in (self.root, *self.root.parents) if os.access(path, os.F_OK, effective_ids=True)
        )
        return SetupProblem(
            f"cannot write to the state folder {self.root}: {existing} belongs to user {existing.stat().st_uid}, and this is "
            f"user {os.geteuid()}. Change its owner, or set FLEXCREDITS_HOME to another folder."
        )

    def secret(self, name: str, length: int = 20) -> str:
        """A random secret of `length` bytes as hex digits; the first call creates and stores it."""
        return keep_private(self.secrets / name, lambda: secrets.token_hex(length))


def state_folder(environment: Mapping[str, str] = os.environ) -> StateFolder:
    """The state folder that the environment names, created if it is missing."""
    chosen = environment.get("FLEXCREDITS_HOME")
    return StateFolder(Path(chosen).expanduser().resolve() if chosen else REPOSITORY / ".flexcredits").make()


def keep_private(path: Path, make: Callable[[], str]) -> str:
    """The text of a private file. The first call creates it; if two processes do so at once, both get the same text."""
    if not path.exists():
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        write_private(unfinished, make())
        with suppress(FileExistsError):
            os.link(unfinished, path)
        unfinished.unlink()
    return path.read_text()


def write_private(path: Path, text: str) -> None:
    """Atomically write a file that only its owner can read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    unfinished.replace(path)


def remove_tree(path: Path) -> None:
    """Remove a folder and its contents. Does nothing if it does not exist."""
    if path.exists():
        shutil.rmtree(path)
