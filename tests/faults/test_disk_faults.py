"""F15: the disk of Postgres or of Kafka is full for a while."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flexcredits_cli.stack.api_keys import create_key
from support.data.usage_source import Client
from support.faults.fault_stage import Stage, endure, open_stage
from support.infra.brokers import AIOKAFKA_ERRORS, open_broker
from support.infra.service_process import eventually
from support.infra.stack import Topics, make_topics, throwaway_folder
from support.services.ingest import running_here

pytestmark = [
    pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk"),
]  # fmt: skip


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    with throwaway_folder() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True)
        folder.chmod(0o711)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def fill_up(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 2**20)


async def test_f15_postgres_disk_full_and_freed(topics: Topics) -> None:
    with small_disk(700) as folder:
        async with open_stage(topics, folder, max_wal_size="96MB") as stage:
            ballast = folder / "ballast"

            async def fill(stage: Stage) -> None:
                with pytest.raises(OSError, match="No space left"):
                    fill_up(ballast)
                await asyncio.sleep(4)
                ballast.unlink()
                if stage.process.exit_code is not None:  # Postgres panics when the log cannot grow
                    await stage.restart_postgres(signal.SIGKILL, down_s=0)

            await endure(stage, fill)


async def test_f15_kafka_disk_full_and_freed(expected_errors: list[str]) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    with small_disk(250) as disk, throwaway_folder() as folder:
        async with open_broker(disk) as broker:
            topics = await make_topics(broker.bootstrap)
            async with open_stage(topics, folder) as stage:
                key = await create_key(stage.database.dsn, "*", "*")
                async with running_here(stage.database, topics, key, produce_wait_s=2) as ingest:
                    client = Client(ingest.url, key, stage.source.acknowledged)
                    sending = [asyncio.create_task(client.send()) for _ in range(4)]
                    await asyncio.sleep(2)
                    with pytest.raises(OSError, match="No space left"):
                        fill_up(disk / "ballast")
                    await eventually(lambda: client.answers[503] >= 8, what="refusals")
                    before = client.answers[202]
                    await asyncio.sleep(4)
                    assert client.answers[202] == before, "a 202 while the disk was full"
                    (disk / "ballast").unlink()
                    broker.kill()
                    await broker.start()
                    await eventually(lambda: client.answers[202] > before + 20, what="202 again")
                    client.stopped = True
                    await asyncio.gather(*sending)
                await stage.quiesce()
                assert client.answers[0] == 0, "every request was answered"
                violations = await stage.find_violations(copies_max=0)
                assert not violations, "\n".join(violations)
