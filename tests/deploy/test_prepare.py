"""The jobs of a deployment that prepare tables and topics."""

import os
import secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient
from flexcredits_cli.machine.state_folder import REPOSITORY
from runtime.prepare import DatabaseSettings
from support.infra.service_process import eventually
from support.infra.stack import with_database

MIGRATIONS = REPOSITORY / "schemas" / "postgres"


def prepare(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "runtime.prepare", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)


def test_an_empty_direct_dsn_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose and charts pass a variable that is not set as an empty one. asyncpg would connect to a socket of this machine."""
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://postgres/flexcredits")
    monkeypatch.setenv("POSTGRES_DIRECT_DSN", "")
    assert DatabaseSettings().postgres_dsn.get_secret_value() == "postgresql://postgres/flexcredits"


async def test_migrations_need_an_owner_who_may_make_roles_but_no_superuser(
    postgres_dsn: str, database_template: str
) -> None:
    # The template has created the services' roles, as CloudNativePG does before the migrations.
    owner = f"owner_{secrets.token_hex(4)}"
    server = await asyncpg.connect(postgres_dsn)
    try:
        await server.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{owner}'")
        await server.execute(f"CREATE DATABASE {owner} OWNER {owner}")
        address = urlsplit(postgres_dsn).netloc.rpartition("@")[2]
        environment = {"POSTGRES_DSN": f"postgresql://{owner}@{address}/{owner}", "PGPASSWORD": owner}

        first = prepare("migrations", str(MIGRATIONS), **environment)
        second = prepare("migrations", str(MIGRATIONS), **environment)

        assert first.returncode == 0, first.stderr
        assert all(path.name in first.stderr for path in MIGRATIONS.glob("*.sql"))
        assert second.returncode == 0, second.stderr
        assert '"applied": []' in second.stderr
    finally:
        await server.execute(f"DROP DATABASE IF EXISTS {owner} WITH (FORCE)")
        await server.execute(f"DROP ROLE IF EXISTS {owner}")
        await server.close()


async def test_a_checkpoint_follows_the_migrations_if_it_is_asked_for(postgres_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one ()")
    name = f"prepared_{secrets.token_hex(4)}"
    environment = {"POSTGRES_DSN": with_database(postgres_dsn, name)}
    server = await asyncpg.connect(postgres_dsn)

    async def checkpoints() -> int:
        return int(await server.fetchval("SELECT num_requested FROM pg_stat_checkpointer"))

    try:
        await server.execute(f"CREATE DATABASE {name} STRATEGY WAL_LOG")  # the other one makes checkpoints
        before = await checkpoints()

        async def has_made_one() -> bool:
            return await checkpoints() > before

        assert prepare("migrations", str(tmp_path), **environment).returncode == 0
        assert not await has_made_one()
        done = prepare("migrations", str(tmp_path), "--checkpoint", **environment)
        assert done.returncode == 0, done.stderr
        await eventually(has_made_one, what="a checkpoint")
    finally:
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.close()


async def test_topics_are_made_once(kafka_bootstrap: str, tmp_path: Path) -> None:
    name = f"prepared-{secrets.token_hex(4)}"
    topic = {"name": name, "partitions": 3, "config": {"cleanup.policy": "compact"}}
    (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(topic))

    for _ in range(2):
        done = prepare("topics", str(tmp_path), KAFKA_BOOTSTRAP=kafka_bootstrap)
        assert done.returncode == 0, done.stderr
        assert "not as described" not in done.stderr
    (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({**topic, "partitions": 5}))
    assert "3 partitions, not 5" in prepare("topics", str(tmp_path), KAFKA_BOOTSTRAP=kafka_bootstrap).stderr

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        [made] = await admin.describe_topics([name])
        assert len(made["partitions"]) == 3
        await admin.delete_topics([name])
    finally:
        await admin.close()


@pytest.mark.parametrize("command", ["migrations", "topics"])
def test_a_folder_that_is_not_there_is_said(command: str, tmp_path: Path) -> None:
    done = prepare(command, str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "nowhere is not a folder" in done.stderr
