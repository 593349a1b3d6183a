"""The embedded server keeps its data after SIGKILL, and as root chooses a folder that its account can enter."""

import os
import secrets
from pathlib import Path

import asyncpg
import pytest
from flexcredits_cli.embedded.postgres import THROWAWAY, EmbeddedPostgres
from flexcredits_cli.embedded.postgres_binaries import find_binaries
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.terminal.problem import SetupProblem
from support.infra.stack import running, throwaway_folder

pytestmark = pytest.mark.embedded("is about the embedded server, its data folder and account")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
# Unlike other tests, these need durable data.
SETTINGS = {"shared_buffers": "16MB", "max_wal_size": "256MB"}


def make_server(folder: Path, **overrides: str) -> EmbeddedPostgres:
    (port,) = free_ports(1)
    server = EmbeddedPostgres(folder, find_binaries(), port, secrets.token_hex(8), {**SETTINGS, **overrides})
    server.prepare()
    return server


async def fetch(server: EmbeddedPostgres, statement: str) -> object:
    connection = await asyncpg.connect(server.dsn(), timeout=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.mark.slow
async def test_rows_survive_sigkill() -> None:
    with throwaway_folder() as folder:
        server = make_server(folder)
        with running(server.program()) as process:
            await fetch(server, "CREATE TABLE kept AS SELECT 7 AS number")
            process.kill()
        server.prepare()
        with running(server.program()):
            assert await fetch(server, "SELECT number FROM kept") == 7


@pytest.mark.slow
async def test_lock_file_that_names_another_programs_process_is_not_obeyed() -> None:
    with throwaway_folder() as folder:
        server = make_server(folder)
        # As after a restart of a container: the file's process id belongs to another program.
        (folder / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder / 'data'}\n")
        server.prepare()
        with running(server.program()):
            assert await fetch(server, "SELECT 1") == 1


@pytest.mark.slow
async def test_text_sorts_by_code_point_and_passwords_are_asked_for() -> None:
    with throwaway_folder() as folder:
        server = make_server(folder, **THROWAWAY)
        with running(server.program()):
            assert (
                await fetch(server, "SELECT string_agg(x, '' ORDER BY x) FROM unnest('{a,B,ä,Z}'::text[]) x") == "BZaä"
            )
            assert await fetch(server, "SELECT datlocprovider::text FROM pg_database LIMIT 1") == "b"
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(server.dsn().replace(server.password, "wrong"), timeout=10)


@pytest.mark.slow
async def test_interrupted_initialization_is_done_again() -> None:
    with throwaway_folder() as folder:
        (folder / "data.new").mkdir()
        (folder / "data.new" / "PG_VERSION").write_text("18\n")
        server = make_server(folder, **THROWAWAY)
        with running(server.program()):
            assert await fetch(server, "SELECT 1") == 1


@as_root
async def test_root_keeps_data_where_the_servers_account_can_go() -> None:
    messages: list[str] = []
    with throwaway_folder() as folder:
        folder.chmod(0o700)
        (port,) = free_ports(1)
        server = EmbeddedPostgres(folder / "postgres", find_binaries(), port, "secret", THROWAWAY, messages.append)
        try:
            server.prepare()
            with running(server.program()):
                assert await fetch(server, "SELECT 1") == 1
            assert "its data goes to" in messages[0]
            assert not (folder / "postgres").exists()
        finally:
            server.wipe()


def test_postgres_bin_that_holds_no_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match=f"POSTGRES_BIN is {tmp_path}"):
        find_binaries({"POSTGRES_BIN": str(tmp_path)})


def test_server_that_is_too_old_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "postgres"
    program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.17'\n")
    program.chmod(0o755)
    with pytest.raises(SetupProblem, match=r"PostgreSQL 15\.17 \(POSTGRES_BIN\) is too old"):
        find_binaries({"POSTGRES_BIN": str(tmp_path)})
