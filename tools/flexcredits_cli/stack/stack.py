"""Starts the local stack in order: PostgreSQL and Kafka, tables and topics, mailbox and issuer, then the services."""

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg
from aiokafka.errors import KafkaError
from runtime.kafka.clients import KafkaSettings, create_topics
from runtime.postgres.migrations import MigrationError
from runtime.postgres.pooler import ThroughPooler

from flexcredits_cli.dev_idp.tokens import issuer_url
from flexcredits_cli.embedded.dashboard import ensure_dashboard
from flexcredits_cli.embedded.java import find_java
from flexcredits_cli.embedded.kafka import EmbeddedKafka
from flexcredits_cli.embedded.kafka_jars import ensure_jars
from flexcredits_cli.embedded.postgres import EmbeddedPostgres
from flexcredits_cli.embedded.postgres_binaries import find_binaries
from flexcredits_cli.embedded.readiness import wait_until_usable
from flexcredits_cli.machine.ports import LOOPBACK
from flexcredits_cli.machine.state_folder import REPOSITORY, StateFolder, remove_tree, write_private
from flexcredits_cli.processes.console import Console
from flexcredits_cli.processes.programs import Program
from flexcredits_cli.processes.supervisor import Supervisor
from flexcredits_cli.stack.choices import External, Ports
from flexcredits_cli.stack.database import NAME, ingest_key, make_database, prepare_database
from flexcredits_cli.stack.description import Description
from flexcredits_cli.stack.services import (
    health_url,
    issuer_program,
    mailbox_program,
    metrics_url,
    probe_ports,
    service_programs,
)
from flexcredits_cli.terminal.problem import SetupProblem, reason_of

TOPICS = REPOSITORY / "schemas" / "topics"


@dataclass(frozen=True)
class Stack:
    """A stack to be started on a state folder; its `ports` are resolved."""

    folder: StateFolder
    ports: Ports
    external: External
    console: Console

    def prepare(self, *, fresh: bool) -> tuple[EmbeddedPostgres | None, EmbeddedKafka | None]:
        """Download packages and create data folders. Returns None for an external PostgreSQL or Kafka.

        Ctrl-C may interrupt it at any point; the next start finishes the work. `fresh` deletes all data of earlier runs, but
        keeps the downloads.
        """
        if fresh:
            self._wipe()
        postgres = None if self.external.postgres_dsn else self._postgres()
        kafka = None if self.external.kafka_bootstrap else self._kafka()
        with ThreadPoolExecutor() as pool:  # concurrently: most of the time is spent in other processes
            preparations = [pool.submit(embedded.prepare) for embedded in (postgres, kafka) if embedded]
            preparations.append(pool.submit(ensure_dashboard, self.folder, self.console.report))
            for preparation in preparations:
                preparation.result()
        return postgres, kafka

    def start(
        self, supervisor: Supervisor, postgres: EmbeddedPostgres | None, kafka: EmbeddedKafka | None
    ) -> Description:
        """Start all programs and wait until they are ready. Data of earlier runs is used again."""
        supervisor.start(*[embedded.program() for embedded in (postgres, kafka) if embedded])
        if postgres:
            asyncio.run(make_database(postgres.dsn()))
        dsn = postgres.dsn(NAME) if postgres else self.external.postgres_dsn
        bootstrap = kafka.bootstrap if kafka else self.external.kafka_bootstrap
        assert dsn is not None
        direct_dsn = (self.external.postgres_direct_dsn if postgres is None else None) or dsn
        assert bootstrap is not None
        with usable("PostgreSQL", external=postgres is None):
            applied = asyncio.run(prepare_database(direct_dsn, self.folder))
            key = asyncio.run(ingest_key(direct_dsn, self.folder))
        if applied:
            self.console.report(f"applied {len(applied)} migrations, up to {applied[-1]}")
        with usable("Kafka", external=kafka is None):
            security = {} if kafka else KafkaSettings(kafka_bootstrap=bootstrap).kafka_security()
            asyncio.run(create_topics(bootstrap, TOPICS, **security))
            asyncio.run(wait_until_usable(bootstrap, [path.stem for path in TOPICS.glob("*.yaml")], **security))
        supervisor.start(*self._helpers())
        # Concurrently: the services depend only on Kafka and PostgreSQL, which are ready.
        broker = {"KAFKA_BOOTSTRAP": bootstrap, **({"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"} if kafka else {})}
        smtp_url = self.external.smtp_url or f"smtp://{LOOPBACK}:{self.ports.smtp}"
        services = service_programs(self.ports, broker, dsn, smtp_url, self.folder)
        environments = {program.name: dict(program.environment) for program in services}
        write_private(self.folder.environments, json.dumps(environments))
        supervisor.start(*services)
        return self._describe(bootstrap, direct_dsn, key)

    def _wipe(self) -> None:
        for name, address in (("Kafka", self.external.kafka_bootstrap), ("PostgreSQL", self.external.postgres_dsn)):
            if address:
                self.console.report(f"--fresh does not delete data of the external {name}")
        remove_tree(self.folder.kafka)
        remove_tree(self.folder.mailbox)
        if not self.external.postgres_dsn:
            self._postgres().wipe()

    def _helpers(self) -> list[Program]:
        issuer = issuer_program(self.ports.issuer, self.folder)
        if self.external.smtp_url:
            return [issuer]
        return [mailbox_program(self.ports.smtp, self.folder.mailbox), issuer]

    def _kafka(self) -> EmbeddedKafka:
        class_path = ensure_jars(self.folder.jars, self.console.report)
        return EmbeddedKafka(self.folder.kafka, class_path, find_java(), self.ports.kafka, self.ports.kafka_controller)

    def _postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(
            self.folder.postgres,
            find_binaries(),
            self.ports.postgres,
            self.folder.secret("postgres-password"),
            report=self.console.report,
        )

    def _describe(self, bootstrap: str, dsn: str, key: str) -> Description:
        probes = probe_ports(self.ports)
        return Description(
            ingest_url=f"http://{LOOPBACK}:{self.ports.ingest}",
            query_url=f"http://{LOOPBACK}:{self.ports.query}",
            mailbox=None if self.external.smtp_url else str(self.folder.mailbox),
            kafka_bootstrap=bootstrap,
            postgres_dsn=dsn,
            ingest_key=key,
            issuer_url=issuer_url(self.ports.issuer),
            metrics_urls={name: metrics_url(port) for name, port in probes.items()},
            health_urls={name: health_url(port) for name, port in probes.items()},
            pid=os.getpid(),
        )


@contextmanager
def usable(name: str, *, external: bool) -> Iterator[None]:
    """Raise SetupProblem for errors that the user can fix: another schema version, or an external server that refuses."""
    try:
        yield
    except MigrationError as error:
        raise SetupProblem(
            f"the database does not match this checkout: {error}\n--fresh deletes it and starts with no data."
        ) from error
    except (OSError, asyncpg.PostgresError, ThroughPooler, KafkaError) as error:
        if not external:
            raise
        variable = "POSTGRES_DSN" if name == "PostgreSQL" else "KAFKA_BOOTSTRAP"
        raise SetupProblem(f"the {name} that {variable} names cannot be used: {reason_of(error)}") from error


@contextmanager
def only_stack(folder: StateFolder) -> Iterator[None]:
    """Lock the state folder for one stack. Raises SetupProblem with the process that holds the lock."""
    with (folder.root / "stack.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SetupProblem(
                f"a stack already runs on {folder.root} (process {lock.read().strip()}). Stop it first, or set "
                "FLEXCREDITS_HOME to another folder for a second stack."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
