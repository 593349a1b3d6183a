"""The embedded broker keeps its data after SIGKILL and after a change of its ports."""

import dataclasses
import logging
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from flexcredits_cli.embedded.java import find_java
from flexcredits_cli.embedded.kafka import EmbeddedKafka
from flexcredits_cli.embedded.kafka_jars import ensure_jars
from flexcredits_cli.machine.ports import accepts, free_ports
from flexcredits_cli.machine.state_folder import state_folder
from flexcredits_cli.processes.programs import Process
from support.infra.stack import running, throwaway_folder

pytestmark = pytest.mark.embedded("is about the embedded broker, which it kills")
log = logging.getLogger(__name__)


def make_broker(folder: Path) -> EmbeddedKafka:
    class_path = ensure_jars(state_folder().jars, log.info)
    port, controller_port = free_ports(2)
    broker = EmbeddedKafka(folder, class_path, find_java(), port, controller_port, 256, quick_start=True)
    broker.prepare()
    return broker


async def write(bootstrap: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait("kept", value)


async def read(bootstrap: str) -> bytes:
    async with AIOKafkaConsumer("kept", bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        return (await consumer.getone()).value or b""


async def make_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("kept", 1, 1)])
    finally:
        await admin.close()


@pytest.mark.slow
async def test_records_survive_sigkill_and_other_ports() -> None:
    with throwaway_folder() as folder:
        broker = make_broker(folder)
        with running(broker.program()) as process:
            await make_topic(broker.bootstrap)
            await write(broker.bootstrap, b"first")
            process.kill()

        port, controller_port = free_ports(2)
        moved = dataclasses.replace(broker, port=port, controller_port=controller_port)
        moved.prepare()
        with running(moved.program()):
            assert await read(moved.bootstrap) == b"first"
            await write(moved.bootstrap, b"second")
        assert not accepts(moved.port)


@pytest.mark.slow
def test_interrupted_format_is_done_again() -> None:
    with throwaway_folder() as folder:
        (folder / "data.new").mkdir()
        (folder / "data.new" / "meta.properties").write_text("half of")
        with running(make_broker(folder).program()) as process:
            assert process.exit_code is None


@pytest.mark.slow
def test_broker_that_cannot_start_says_why() -> None:
    with throwaway_folder() as folder:
        broker = make_broker(folder)
        (folder / "server.properties").write_text("process.roles=nonsense\n")
        process = Process(broker.program(), lambda _name, _line: None)
        try:
            with pytest.raises(Exception, match="kafka exited with 1 before it was ready"):
                process.wait_ready()
        finally:
            process.stop()
