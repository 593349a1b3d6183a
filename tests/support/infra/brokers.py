"""A broker for one test, which can be paused and killed."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from flexcredits_cli.embedded.java import find_java
from flexcredits_cli.embedded.kafka import EmbeddedKafka
from flexcredits_cli.embedded.kafka_jars import ensure_jars
from flexcredits_cli.embedded.readiness import wait_until_usable
from flexcredits_cli.machine.ports import LOOPBACK, free_ports
from flexcredits_cli.machine.state_folder import state_folder
from flexcredits_cli.processes.programs import Process
from support.infra import stack as real
from support.infra.service_process import eventually

AIOKAFKA_ERRORS = r"^aiokafka"
"""Patterns of what aiokafka's clients log while their broker is unavailable."""


class Broker:
    """A broker with its data in `folder`, which a restart keeps."""

    def __init__(self, folder: Path, host: str = LOOPBACK) -> None:
        port, controller_port = free_ports(2)
        class_path = ensure_jars(state_folder().jars, real.log.info)
        self._kafka = EmbeddedKafka(folder, class_path, find_java(), port, controller_port, 384, True, host)
        self._kafka.prepare()
        self._process: Process | None = None

    @property
    def bootstrap(self) -> str:
        return self._kafka.bootstrap

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.exit_code is not None

    async def start(self) -> None:
        if self._process is None:
            await eventually(self.launch(), what="the broker")

    def launch(self) -> Callable[[], bool]:
        """Start it and return a function that says whether it is ready."""
        # Not in a worker thread: the kernel ends the broker when the thread that started it ends.
        program = self._kafka.program()
        self._process = Process(program, lambda name, line: real.log.info("%s | %s", name, line))
        return program.is_ready

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.close()
            self._process = None

    def freeze(self) -> None:
        assert self._process
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        os.kill(self._process.pid, signal.SIGCONT)


@asynccontextmanager
async def open_broker(folder: Path) -> AsyncIterator[Broker]:
    """A broker that is ready."""
    broker = Broker(folder)
    try:
        await broker.start()
        await wait_until_usable(broker.bootstrap)
        yield broker
    finally:
        broker.kill()
