"""The Kafka and the Postgres of the benchmarks: running ones, or embedded ones with the settings of `up`, fsync included."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from flexcredits_cli.embedded.java import find_java
from flexcredits_cli.embedded.kafka import EmbeddedKafka
from flexcredits_cli.embedded.kafka_jars import ensure_jars
from flexcredits_cli.embedded.postgres import EmbeddedPostgres
from flexcredits_cli.embedded.postgres_binaries import find_binaries
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.machine.state_folder import state_folder
from support.infra.stack import running, throwaway_folder

TOGETHER = "group.initial.rebalance.delay.ms=3000\n"
"""Kafka's default. Members that start together share the partitions at once, without a second rebalance."""


@contextmanager
def kafka_and_postgres() -> Iterator[tuple[str, str]]:
    """Kafka's address and a superuser's DSN. KAFKA_BOOTSTRAP and POSTGRES_DSN together name running servers."""
    bootstrap, dsn = os.environ.get("KAFKA_BOOTSTRAP"), os.environ.get("POSTGRES_DSN")
    if bootstrap and dsn:
        yield bootstrap, dsn
        return
    class_path = ensure_jars(state_folder().jars, print)
    port, controller_port = free_ports(2)
    with throwaway_folder() as folder, embedded_postgres() as server:
        broker = EmbeddedKafka(folder, class_path, find_java(), port, controller_port, more_settings=TOGETHER)
        broker.prepare()
        with running(broker.program()):
            yield broker.bootstrap, server


@contextmanager
def embedded_postgres() -> Iterator[str]:
    """A superuser's DSN."""
    (port,) = free_ports(1)
    with throwaway_folder() as folder:
        server = EmbeddedPostgres(folder, find_binaries(), port, secrets.token_hex(16))
        server.prepare()
        with running(server.program()):
            yield server.dsn()
