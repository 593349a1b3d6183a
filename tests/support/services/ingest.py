"""An ingest service for tests, in this process or its own, and the records on its topics."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from flexcredits_cli.machine.ports import accepts
from ingest.__main__ import run
from ingest.settings import Settings
from support.infra.service_process import eventually, free_port
from support.infra.stack import Database, Topics

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
Record = ConsumerRecord[bytes, bytes]


@dataclass(frozen=True)
class Ingest:
    """A running service: its addresses, its topics, and a key without limits."""

    url: str
    probe_url: str
    topics: Topics
    key: str

    async def post(
        self, body: Any, content_type: str | None = "application/json", *, key: str | None = None, **headers: str
    ) -> httpx.Response:
        """Send events, or raw bytes."""
        content = body if isinstance(body, bytes) or hasattr(body, "__aiter__") else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {key or self.key}"} | {n.replace("_", "-"): v for n, v in headers.items()}
        if content_type is not None:
            sent["Content-Type"] = content_type
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            return await client.post("/api/v1/events", content=content, headers=sent)

    async def metric(self, name: str, **labels: str) -> float:
        """A sample's value; 0 when it does not exist yet."""
        wanted = name + ("{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}" if labels else "")
        async with httpx.AsyncClient() as client:
            lines = (await client.get(f"{self.probe_url}/metrics")).text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == wanted), 0.0)

    async def readiness(self) -> tuple[int, str]:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self.probe_url}/health/ready")
        return answer.status_code, answer.text

    async def is_ready(self) -> bool:
        return (await self.readiness())[0] == 200

    async def usage(self) -> list[Record]:
        return await read_topic(self.topics.bootstrap, self.topics.usage_events)

    async def catalog_events(self) -> list[Record]:
        return await read_topic(self.topics.bootstrap, self.topics.catalog)

    async def dead_letters(self) -> list[Record]:
        return await read_topic(self.topics.bootstrap, self.topics.dlq)

    async def written(self) -> int:
        """Records on all topics of this service."""
        return len(await self.usage()) + len(await self.catalog_events()) + len(await self.dead_letters())


def environment(postgres_dsn: str, topics: Topics, **more: Any) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP": topics.bootstrap,
        "POSTGRES_DSN": postgres_dsn,
        "USAGE_EVENTS_TOPIC": topics.usage_events,
        "CATALOG_TOPIC": topics.catalog,
        "DEAD_LETTER_TOPIC": topics.dlq,
        "HTTP_PORT": str(free_port()),
        **{name.upper(): str(value) for name, value in more.items()},
    }


@asynccontextmanager
async def running_here(
    database: Database, topics: Topics, key: str, *, wait: bool = True, dsn: str = "", **settings: Any
) -> AsyncIterator[Ingest]:
    """The service in this event loop. With `wait` it is ready when the block begins, else it only listens."""
    given = environment(dsn or database.roles["flexcredits_ingest"], topics, probe_port=free_port(), **settings)
    parsed = Settings.model_validate({name.lower(): value for name, value in given.items()})
    stop = asyncio.Event()
    task = asyncio.create_task(run(parsed, stop))
    ingest = Ingest(f"http://127.0.0.1:{parsed.http_port}", f"http://127.0.0.1:{parsed.probe_port}", topics, key)
    try:
        await eventually(lambda: task.done() or (accepts(parsed.http_port) and accepts(parsed.probe_port)))
        if wait:
            await eventually(ingest.is_ready, what="readiness")
        yield ingest
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def read_topic(bootstrap: str, topic: str) -> list[Record]:
    """All records up to the current end."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    records: list[Record] = []
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        async with asyncio.timeout(20):
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    records += batch
    finally:
        await consumer.stop()
    return records


def ids(records: Iterable[Record]) -> list[str]:
    return sorted(json.loads(record.value or b"{}")["id"] for record in records)


def headers_of(record: Record) -> Mapping[str, str]:
    return {name: value.decode() for name, value in record.headers}


class TcpProxy:
    """Forwards connections to another address. Tests cut and restore it."""

    def __init__(self, target_url: str) -> None:
        parts = urlsplit(target_url)
        self._target = parts.hostname, parts.port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = free_port()

    async def restore(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Refuse new connections and end the old ones."""
        if self._server:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None
            for _ in range(100):  # the forwarding tasks need a moment to end
                if self._writers:
                    await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, target_writer}
        await asyncio.gather(self._ask(reader, target_writer, writer), self._answer(target_reader, writer))
        self._writers -= {writer, target_writer}

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        """From the client to the target."""
        await self._pipe(reader, writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the target to the client."""
        await self._pipe(reader, writer)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
