"""Apache Kafka's own tools that copy topics, run as programs: MirrorMaker 2, and a standalone Connect worker."""

import asyncio
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from flexcredits_cli.embedded.java import find_java
from flexcredits_cli.embedded.kafka_jars import BROKER, ensure_jars, maven_context
from flexcredits_cli.machine.ports import LOOPBACK, accepts, free_ports
from flexcredits_cli.machine.state_folder import REPOSITORY, state_folder
from flexcredits_cli.processes.programs import Process, Program
from support.infra import stack as real
from support.infra.service_process import eventually
from support.infra.stack import Topics

VERSION = BROKER.rpartition(":")[2]
TOOLS = (f"org.apache.kafka:connect-mirror:{VERSION}", f"org.apache.kafka:connect-file:{VERSION}")
RUNBOOKS = REPOSITORY / "docs" / "runbooks.md"
LOGGING = """\
Configuration:
  Appenders: {Console: {name: console, PatternLayout: {pattern: "%p %m (%c{1})%n%throwable{5}"}}}
  Loggers: {Root: {level: INFO, AppenderRef: [{ref: console}]}}
"""
ONE_BROKER = """
replication.factor = 1
offset-syncs.topic.replication.factor = 1
offset.storage.replication.factor = 1
status.storage.replication.factor = 1
config.storage.replication.factor = 1
"""


def documented(language: str, begins: str) -> str:
    """The code block of docs/runbooks.md with this language and beginning."""
    blocks = re.findall(rf"```{language}\n(.*?)```", RUNBOOKS.read_text(), re.DOTALL)
    [block] = [block for block in blocks if block.startswith(begins)]
    return str(block)


def switch(topics: Topics, *, catalog: bool = True) -> str:
    """The statements that point Postgres to new logs. Without the catalog's if only the usage topic is new."""
    statements = documented("sql", "BEGIN;")
    if not catalog:
        lines = statements.replace(", 'usage.catalog.v1'", "").splitlines()
        first = next(number for number, line in enumerate(lines) if line.startswith("UPDATE rates"))
        statements = "\n".join([*lines[:first], *lines[lines.index("END $$;") + 1 :]])
    return statements.replace("usage.events.v1", topics.usage_events).replace("usage.catalog.v1", topics.catalog)


class Tools:
    """The programs of a Kafka installation, with their jars."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        maven = maven_context(folder / "maven")
        inputs, transitive = maven.resolver.resolve([maven.create_dependency(tool) for tool in TOOLS])
        needed = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
        jars = {path.name: path for each in needed for path in [Path(each.artifact.resolve())]}
        jars |= {path.name: path for path in ensure_jars(state_folder().jars, real.log.info)}
        self._class_path = os.pathsep.join(str(path) for path in jars.values())
        (folder / "log4j2.yaml").write_text(LOGGING)

    def _run(self, name: str, *arguments: str | Path, port: int | None = None) -> Program:
        java = [str(find_java().path), "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        java += [f"-Dlog4j2.configurationFile={self._folder / 'log4j2.yaml'}", "-cp", self._class_path]
        return Program(
            name=name, argv=[*java, *map(str, arguments)], is_ready=lambda: port is None or accepts(port, LOOPBACK),
            stop_within_s=30,
        )  # fmt: skip

    @contextmanager
    def mirror_maker(self, old: str, new: str) -> Iterator[Process]:
        """MirrorMaker 2 with the settings of docs/runbooks.md, between clusters of one broker each."""
        settings = documented("properties", "clusters = old, new")
        file = self._folder / "mm2.properties"
        file.write_text(settings.replace("old-kafka:9092", old).replace("new-kafka:9092", new) + ONE_BROKER)
        with real.running(self._run("mirror-maker", "org.apache.kafka.connect.mirror.MirrorMaker", file)) as process:
            yield process

    @contextmanager
    def connect(self, bootstrap: str, converter: str, connector: Mapping[str, object]) -> Iterator[Process]:
        """A standalone Connect worker with one connector and no stored offsets."""
        [port] = free_ports(1)
        name = str(connector["name"])
        offsets = self._folder / f"{name}.offsets"
        offsets.unlink(missing_ok=True)
        worker = {
            "bootstrap.servers": bootstrap, "listeners": f"http://{LOOPBACK}:{port}",
            "key.converter": converter, "value.converter": converter,
            "offset.storage.file.filename": offsets, "offset.flush.interval.ms": 500,
            "consumer.isolation.level": "read_committed",
        }  # fmt: skip
        files = []
        for part, settings in (("worker", worker), ("connector", connector)):
            files.append(self._folder / f"{name}-{part}.properties")
            files[-1].write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        program = self._run(name, "org.apache.kafka.connect.cli.ConnectStandalone", *files, port=port)
        with real.running(program) as process:
            yield process


async def set_topic(bootstrap: str, topic: str, **settings: str) -> None:
    """Replace the topic's own settings; names with _ for dots."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        given = {name.replace("_", "."): value for name, value in settings.items()}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, given)])
    finally:
        await admin.close()


async def delete_topic(bootstrap: str, topic: str) -> None:
    """Delete a topic and wait until it is deleted."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def is_gone() -> bool:
            return topic not in await admin.list_topics()

        await eventually(is_gone, what="the topic's end")
    finally:
        await admin.close()


async def read_log(bootstrap: str, topic: str, count: int, within_s: float = 60) -> list[ConsumerRecord]:
    """All committed records of a topic, once there are `count` or more."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False,
        isolation_level="read_committed",
    )  # fmt: skip
    await consumer.start()
    found: list[ConsumerRecord] = []
    try:
        async with asyncio.timeout(within_s):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=300)).values():
                    found += records
            for records in (await consumer.getmany(timeout_ms=1000)).values():  # extra records
                found += records
    except TimeoutError as error:
        raise AssertionError(f"{len(found)} of {count} records in {topic}") from error
    finally:
        await consumer.stop()
    return found
