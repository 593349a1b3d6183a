"""The description of the running stack: `--json` prints it, and other commands find the stack by its file."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

from flexcredits_cli.machine.state_folder import StateFolder, write_private
from flexcredits_cli.terminal.problem import SetupProblem


@dataclass(frozen=True)
class Description:
    """Addresses of a running stack. URLs are bases without a path; `mailbox` is a folder."""

    ingest_url: str
    query_url: str
    mailbox: str | None
    """None if SMTP_URL names an external mail server."""
    kafka_bootstrap: str
    postgres_dsn: str
    """The owner's DSN; row-level security does not apply to the owner."""
    ingest_key: str
    """A key for every organization and product."""
    issuer_url: str
    metrics_urls: dict[str, str]
    health_urls: dict[str, str]
    pid: int
    """The supervisor's process id."""

    def to_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))


def publish(description: Description, folder: StateFolder) -> None:
    write_private(folder.description, description.to_json())


def withdraw(folder: StateFolder) -> None:
    folder.description.unlink(missing_ok=True)


def find_stack(folder: StateFolder) -> Description | None:
    """The stack that runs on this state folder, or None."""
    if not folder.description.exists():
        return None
    description = Description(**json.loads(folder.description.read_text()))
    return description if is_alive(description.pid) else None


def running_stack(folder: StateFolder) -> Description:
    """The stack that runs on this state folder. Raises SetupProblem if none runs."""
    description = find_stack(folder)
    if description is None:
        raise SetupProblem(f"no stack is running here ({folder.root}). Start one with: ./flexcredits up")
    return description


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # the process exists and belongs to another user
    return Path(f"/proc/{pid}").exists() or not Path("/proc/self").exists()
