"""Measures events per second that the ingest API acknowledges: `python tests/bench/ingest_load.py URL KEY`, or `measure_ingest`."""

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

FEATURES = [
    "jira_search",
    "web_search",
    "code_review",
    "summarize",
    "translate",
    "slack_post",
    "sql_query",
    "image_alt",
]
MODELS = ["claude-opus-5", "claude-sonnet-5", "gpt-6", "gemini-4-pro", "llama-5-70b"]
SURFACES = ["web", "slack", "chrome", "teams", "desktop"]


@dataclass(frozen=True)
class IngestResult:
    """Result of a run; seconds from the first request to the last answer."""

    events: int
    accepted: int
    event_bytes: float
    seconds: float
    requests: int
    request_ms_p50: float
    request_ms_p99: float
    cpu_seconds: float = 0.0
    """Of the ingest process."""

    @property
    def events_per_second(self) -> float:
        return self.accepted / self.seconds

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_us_per_event(self) -> float:
        return self.cpu_seconds / self.events * 1_000_000


async def measure_ingest(
    ingest_url: str, key: str, events: int = 200_000, request_size: int = 500, connections: int = 8, seed: int = 1
) -> IngestResult:
    """Send `events` different events in requests of `request_size` over keep-alive connections. Bodies are built before."""
    address = urlsplit(ingest_url)
    requests = build_requests(address.netloc, key, events, request_size, random.Random(seed))
    sizes = sum(map(len, requests)) / events
    latencies: list[float] = []
    accepted = 0
    queue = iter(requests)

    async def send_requests() -> None:
        nonlocal accepted
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for request in queue:
            sent_at = time.perf_counter()
            writer.write(request)
            status, body = await read_answer(reader)
            latencies.append(time.perf_counter() - sent_at)
            if status != 202:
                raise RuntimeError(f"{status}: {body.decode()[:500]}")
            accepted += json.loads(body)["accepted"]
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(send_requests() for _ in range(connections)))
    seconds = time.perf_counter() - began
    latencies.sort()
    return IngestResult(
        events=events,
        accepted=accepted,
        event_bytes=sizes,
        seconds=seconds,
        requests=len(requests),
        request_ms_p50=1000 * latencies[len(latencies) // 2],
        request_ms_p99=1000 * latencies[len(latencies) * 99 // 100],
    )


def build_requests(host: str, key: str, events: int, request_size: int, chance: random.Random) -> list[bytes]:
    """Whole HTTP requests, as bytes."""
    now = datetime.now(UTC)
    requests = []
    for start in range(0, events, request_size):
        body = ",".join(build_event(now, chance) for _ in range(start, min(start + request_size, events)))
        requests.append(build_request(host, key, f"[{body}]".encode()))
    return requests


def build_request(host: str, key: str, batch: bytes) -> bytes:
    head = (
        f"POST /api/v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/cloudevents-batch+json\r\nContent-Length: {len(batch)}\r\n\r\n"
    )
    return head.encode() + batch


def build_event(now: datetime, chance: random.Random) -> str:
    """A usage event of about 400 bytes, as our clients write them."""
    product = chance.choice(["assistant", "agents"])
    kind = chance.choice(["model", "tool"])
    data: dict[str, object] = {
        "product": product,
        "feature_kind": kind,
        "feature": chance.choice(MODELS if kind == "model" else FEATURES),
        "surface": chance.choice(SURFACES),
        "credits": f"{chance.randrange(1, 9_999_999) / 1_000_000:.6f}",
    }
    if product == "agents":
        agent = chance.randrange(200)
        data["agent"] = {"id": f"agt_{agent}", "name": f"Quarterly report {agent}", "kind": "saved"}
    event = {
        "specversion": "1.0",
        "id": uuid7(now, chance),
        "source": f"/products/{product}",
        "type": "flexcredits.usage.v1",
        "subject": f"org_{chance.randrange(50)}",
        "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(event)


def uuid7(now: datetime, chance: random.Random) -> str:
    """RFC 9562, section 5.7."""
    milliseconds = int(now.timestamp() * 1000)
    digits = (
        f"{milliseconds:012x}7{chance.getrandbits(12):03x}{8 + chance.getrandbits(2):x}{chance.getrandbits(60):015x}"
    )
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    length = int(head.partition("content-length: ")[2].partition("\r")[0] or 0)
    return status, await reader.readexactly(length)


def main() -> None:
    url, key, *numbers = sys.argv[1:]
    result = asyncio.run(measure_ingest(url, key, *map(int, numbers)))
    print(f"{result.events_per_second:,.0f} events/s", result)


if __name__ == "__main__":
    main()
