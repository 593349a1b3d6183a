"""A real PgBouncer from the machine's package, in front of a server."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
from flexcredits_cli.embedded.postgres_binaries import account
from flexcredits_cli.machine.ports import accepts
from support.infra.service_process import free_port
from support.infra.stack import Database, throwaway_folder

IGNORED = "search_path, statement_timeout, idle_in_transaction_session_timeout, lock_timeout, jit, plan_cache_mode"
"""All of our settings, which PgBouncer then drops without a word."""


@contextmanager
def pgbouncer(database: Database, **settings: str) -> Iterator["PgBouncer"]:
    """A PgBouncer in transaction mode before the server of this database. Consecutive transactions of a connection run in
    different sessions. Skips the test if PgBouncer is not installed."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    server = urlsplit(database.dsn)
    port = free_port()
    chosen = {
        "listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": "", "auth_type": "scram-sha-256",
        "pool_mode": "transaction", "default_pool_size": "8", "server_round_robin": "1", **settings,
    }  # fmt: skip
    with throwaway_folder() as folder:
        users = [urlsplit(dsn) for dsn in (database.dsn, *database.roles.values())]
        (folder / "users.txt").write_text("".join(f'"{user.username}" "{user.password}"\n' for user in users))
        lines = ["[databases]", f"* = host={server.hostname} port={server.port}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in chosen.items()]
        (folder / "pgbouncer.ini").write_text("\n".join([*lines, f"auth_file = {folder}/users.txt", ""]))
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, folder / "pgbouncer.ini"], stdout=output, stderr=output, user=account()
            )
        try:
            deadline = time.monotonic() + 10
            while not accepts(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            yield PgBouncer(port)
        finally:
            process.terminate()
            process.wait(10)


class PgBouncer:
    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, dsn: str) -> str:
        """The same user and database, through PgBouncer."""
        parts = urlsplit(dsn)
        return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self.port}"))

    def database(self, database: Database) -> Database:
        """The same database, all of whose DSNs lead through PgBouncer."""
        return Database(self(database.dsn), {role: self(dsn) for role, dsn in database.roles.items()})
