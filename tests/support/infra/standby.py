"""A real streaming replica of the tests' server: pg_basebackup, then a server that follows."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
from flexcredits_cli.embedded.postgres import THROWAWAY, EmbeddedPostgres
from flexcredits_cli.embedded.postgres_binaries import account, find_binaries
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.processes.programs import Process
from support.infra.stack import memory, running, throwaway_folder


class Standby:
    def __init__(self, port: int, process: Process) -> None:
        self.port = port
        self.stop = process.stop

    def __call__(self, dsn: str) -> str:
        """The same user and database, on the replica."""
        parts = urlsplit(dsn)
        return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self.port}"))


@contextmanager
def standby(superuser_dsn: str) -> Iterator[Standby]:
    """A replica of this server. Skips the test if the server cannot be copied, such as one in a container."""
    (port,) = free_ports(1)
    with throwaway_folder(memory()) as folder:
        binaries, data = find_binaries(), folder / "data"
        copying = subprocess.run(
            [binaries.path("pg_basebackup"), "-d", superuser_dsn, "-D", data, "-R", "--checkpoint=fast", "--no-sync"],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        if copying.returncode:
            pytest.skip(f"the server cannot be copied: {copying.stderr[:200]}")
        if user := account():
            for path in (data, *data.rglob("*")):
                shutil.chown(path, user)
        server = EmbeddedPostgres(folder, binaries, port, secrets.token_hex(16), THROWAWAY)
        server.prepare()
        with running(server.program()) as process:
            yield Standby(port, process)
