"""Real Kafka and real PostgreSQL for tests: running ones, containers, or the embedded ones.

KAFKA_BOOTSTRAP and POSTGRES_DSN (a superuser's) name running ones. Else testcontainers, when a Docker engine
answers. Else the same embedded processes as `./flexcredits up`, on free ports and with their data thrown away.
"""

import asyncio
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from flexcredits_cli.embedded.java import find_java
from flexcredits_cli.embedded.kafka import EmbeddedKafka
from flexcredits_cli.embedded.kafka_jars import ensure_jars
from flexcredits_cli.embedded.postgres import THROWAWAY, EmbeddedPostgres
from flexcredits_cli.embedded.postgres_binaries import find_binaries
from flexcredits_cli.embedded.readiness import wait_until_usable
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.machine.state_folder import REPOSITORY, remove_tree, state_folder
from flexcredits_cli.processes.programs import Process, Program
from runtime.kafka.clients import create_topics
from runtime.postgres.migrations import migrate
from support.infra.containers import docker_answers, kafka_container, postgres_container

log = logging.getLogger("stack")

MEMORY, ROOM_BYTES = Path("/dev/shm"), 4 * 2**30
SCHEMAS = REPOSITORY / "schemas"
ROLE_PASSWORD = os.environ.setdefault("FLEXCREDITS_TEST_ROLE_PASSWORD", secrets.token_hex(16))
"""Password of the services' roles. Processes that a test starts, such as a benchmark, set the same one on its server."""


@dataclass(frozen=True)
class Database:
    """A migrated database of one test."""

    dsn: str
    """DSN of the owner of all tables, who bypasses row-level security."""
    roles: dict[str, str]
    """The DSN of each service's role: flexcredits_ingest, flexcredits_aggregator, flexcredits_api, ..."""


@dataclass(frozen=True)
class Topics:
    """Empty topics of one test, with unique names."""

    bootstrap: str
    usage_events: str
    catalog: str
    totals: str
    dlq: str
    alerts: str

    @property
    def all(self) -> list[str]:
        return [self.usage_events, self.catalog, self.totals, self.dlq, self.alerts]


@contextmanager
def kafka_bootstrap() -> Iterator[str]:
    """A broker's address. If this starts the broker, it stops it at the end."""
    if os.environ.get("KAFKA_BOOTSTRAP"):
        yield os.environ["KAFKA_BOOTSTRAP"]
    elif docker_answers():
        with kafka_container() as bootstrap:
            asyncio.run(wait_until_usable(bootstrap))
            yield bootstrap
    else:
        class_path = ensure_jars(state_folder().jars, log.info)
        port, controller_port = free_ports(2)
        with throwaway_folder(memory()) as folder:
            broker = EmbeddedKafka(folder, class_path, find_java(), port, controller_port, 384, quick_start=True)
            broker.prepare()
            with running(broker.program()):
                asyncio.run(wait_until_usable(broker.bootstrap))
                yield broker.bootstrap


@contextmanager
def postgres_dsn() -> Iterator[str]:
    """A superuser's DSN of a server. If this starts the server, it stops it at the end."""
    if os.environ.get("POSTGRES_DSN"):
        yield os.environ["POSTGRES_DSN"]
    elif docker_answers():
        with postgres_container() as dsn:
            yield dsn
    else:
        (port,) = free_ports(1)
        with throwaway_folder(memory()) as folder:
            server = EmbeddedPostgres(folder, find_binaries(), port, secrets.token_hex(16), THROWAWAY)
            server.prepare()
            with running(server.program()):
                yield server.dsn()


@contextmanager
def running(program: Program) -> Iterator[Process]:
    """Start a program, wait until it is ready, stop it at the end."""
    process = Process(program, lambda name, line: log.info("%s | %s", name, line))
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


@contextmanager
def throwaway_folder(parent: Path | None = None) -> Iterator[Path]:
    """A temporary folder that the embedded PostgreSQL's account can enter too."""
    folder = Path(tempfile.mkdtemp(prefix="flexcredits-test-", dir=parent))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        remove_tree(folder)


def memory() -> Path | None:
    """A folder in memory if there is room: each test's database has 2,100 files."""
    with suppress(OSError):
        if shutil.disk_usage(MEMORY).free > ROOM_BYTES:
            return MEMORY
    return None


def with_database(dsn: str, database: str) -> str:
    """The same server and user, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


def with_user(dsn: str, user: str, password: str) -> str:
    """The same server and database, another user."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))


async def make_template(server_dsn: str) -> str:
    """Migrate a database that tests copy; returns its name. Service roles may log in afterwards."""
    name = f"template_{secrets.token_hex(4)}"
    await execute(server_dsn, f'CREATE DATABASE "{name}"')
    await migrate(with_database(server_dsn, name), SCHEMAS / "postgres")
    for role in await service_roles(server_dsn):
        await execute(server_dsn, f"ALTER ROLE \"{role}\" LOGIN PASSWORD '{ROLE_PASSWORD}'")
    return name


async def service_roles(server_dsn: str) -> list[str]:
    connection = await asyncpg.connect(server_dsn, timeout=10)
    try:
        rows = await connection.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE 'flexcredits\\_%' ORDER BY 1")
        return [str(row["rolname"]) for row in rows]
    finally:
        await connection.close()


async def copy_template(server_dsn: str, template: str) -> Database:
    name = f"test_{secrets.token_hex(6)}"
    await execute(server_dsn, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    dsn = with_database(server_dsn, name)
    return Database(dsn, {role: with_user(dsn, role, ROLE_PASSWORD) for role in await service_roles(server_dsn)})


async def make_topics(bootstrap: str) -> Topics:
    """The topics of schemas/topics under unique names."""
    suffix = secrets.token_hex(4)
    real_names = ["usage.events.v1", "usage.catalog.v1", "usage.totals.v1", "usage.events.v1.dlq", "usage.alerts.v1"]
    names = {name: f"{name}.{suffix}" for name in real_names}
    await asyncio.wait_for(create_topics(bootstrap, SCHEMAS / "topics", names=names), timeout=30)
    await wait_until_usable(bootstrap, names.values())
    return Topics(bootstrap, *names.values())


async def delete_topics(topics: Topics) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    try:
        await asyncio.wait_for(admin.delete_topics(topics.all), timeout=30)
    finally:
        await admin.close()


async def drop_database(server_dsn: str, name: str) -> None:
    # FORCE: a test that failed half-way may still hold connections.
    await execute(server_dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await asyncio.wait_for(connection.execute(statement), timeout=60)
    finally:
        await connection.close()
