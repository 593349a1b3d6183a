"""Kafka and PostgreSQL in containers, for machines with a running Docker engine."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from flexcredits_cli.embedded.postgres import THROWAWAY
from flexcredits_cli.machine.ports import free_ports
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

READY_WITHIN_S = 180
"""On an idle machine Kafka takes 5 s; at a load of 80 it took more than 60."""
ONLY_CONTAINERS = os.environ.get("FLEXCREDITS_TEST_SERVERS") == "containers"
"""The lane `--containers`: the stacks of whole stories use containers too, and tests that cannot are skipped by name."""
KAFKA_DATA = "/memory"


@cache
def docker_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, timeout=20).returncode == 0


@contextmanager
def kafka_container() -> Iterator[str]:
    """The bootstrap address of Apache's own image; testcontainers' Kafka module starts Confluent's only."""
    # The broker has to name the address that clients will use, so the port is chosen before the start.
    (port,) = free_ports(1)
    settings = {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "OFFSETS_TOPIC_NUM_PARTITIONS": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
        "LOG_SEGMENT_DELETE_DELAY_MS": "1000",
        # As in the embedded broker of tests: the data in memory, little heap, few threads, a JVM that starts fast.
        "LOG_DIRS": KAFKA_DATA,
        "LOG_CLEANER_DEDUPE_BUFFER_SIZE": "8388608",
        "NUM_NETWORK_THREADS": "2",
        "NUM_IO_THREADS": "4",
        "HEAP_OPTS": "-Xmx384m",
        "JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    }
    container = DockerContainer("apache/kafka:4.3.1").with_bind_ports(9092, port).with_tmpfs_mount(KAFKA_DATA)
    for name, value in settings.items():
        container.with_env(f"KAFKA_{name}", value)
    with container:
        deadline = time.monotonic() + READY_WITHIN_S
        # Not the port: Docker's own proxy answers there long before Kafka does.
        while not any(b"Kafka Server started" in output for output in container.get_logs()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Kafka's container does not answer: {container.get_logs()}")
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"


@contextmanager
def postgres_container() -> Iterator[str]:
    """A superuser's DSN."""
    # As in the embedded server: the ledger's partitions need the locks, and the data may be lost.
    kept = {"max_locks_per_transaction": "1024", "jit": "off", "checkpoint_timeout": "15min", **THROWAWAY}
    settings = " ".join(f"-c {name}={value}" for name, value in kept.items())
    container = PostgresContainer("postgres:18", driver=None, shm_size="256m").with_command(f"postgres {settings}")
    with container.with_tmpfs_mount("/var/lib/postgresql") as started:
        yield started.get_connection_url()
