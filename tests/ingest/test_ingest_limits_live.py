"""The service's limits: quotas, slow senders, many small requests."""

import asyncio
import gzip
import json
from contextlib import suppress

import httpx
import pytest
from flexcredits_cli.stack.api_keys import create_key
from flexcredits_schemas.mapping.ready_made import ready_made
from support.data.factories import usage
from support.infra.service_process import eventually
from support.infra.stack import Database, Topics
from support.services.ingest import Ingest, running_here
from support.services.mapped_keys import create_mapped_key


async def test_over_quota_is_429_and_passes(database: Database, topics: Topics, key: str) -> None:
    async with running_here(database, topics, key, events_per_second_max=20) as ingest:
        answer = await ingest.post([usage() for _ in range(199)])
        assert answer.headers["ratelimit-policy"] == '"events";q=200;w=10'
        assert answer.status_code == 202
        assert (await ingest.post([usage() for _ in range(11)])).status_code == 202
        answer = await ingest.post(usage())
        assert answer.status_code == 429
        assert answer.json()["type"] == "/problems/over-quota"
        assert answer.headers["ratelimit"].startswith('"events";r=0;t=')
        assert 1 <= int(answer.headers["retry-after"]) <= 2
        assert len(await ingest.usage()) == 210
        await eventually(lambda: takes(ingest), within_s=5, what="the quota to refill")


async def test_a_body_that_memory_never_has_room_for_is_too_large(database: Database, topics: Topics, key: str) -> None:
    """OTLP allows 20 MiB, whatever the settings: 503 would be answered again and again."""
    otlp = await create_mapped_key(database.dsn, ready_made()["otlp-genai"].text)
    headers = {"Authorization": f"Bearer {otlp}", "Content-Type": "application/json"}
    async with (
        running_here(database, topics, key, in_flight_bytes_max=400_000, body_bytes_max=100_000) as ingest,
        httpx.AsyncClient() as client,
    ):
        for size, status in ((100_000, 200), (100_001, 413)):
            body = b'{"resourceSpans":[]}'.ljust(size)
            answer = await client.post(f"{ingest.url}/otlp/v1/traces", content=body, headers=headers)
            assert answer.status_code == status, answer.text


async def test_slow_body_is_given_up(database: Database, topics: Topics, key: str) -> None:
    async with running_here(database, topics, key, body_wait_s=0.3) as ingest:
        reader, writer = await asyncio.open_connection(*ingest.url.removeprefix("http://").split(":"))
        head = f"POST /api/v1/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n[".encode())
        # Answered and closed, since the rest may never arrive.
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"/problems/body-timeout" in answer
        assert await ingest.metric("flexcredits_ingest_in_flight_bytes") == 0


async def test_slow_bodies_of_one_organization_leave_room_for_those_of_others(
    database: Database, topics: Topics, key: str
) -> None:
    greedy, other = [await create_key(database.dsn, name, "*") for name in ("org_greedy", "org_acme")]
    head = f"POST /api/v1/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {greedy}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    async with running_here(database, topics, key, in_flight_bytes_max=400_000, body_bytes_max=100_000) as ingest:
        writers = []
        for _ in range(8):
            _, writer = await asyncio.open_connection(*ingest.url.removeprefix("http://").split(":"))
            writer.write(head.encode() + b" " * 99_000)
            await writer.drain()
            writers.append(writer)
        await eventually(lambda: fills(ingest, 290_000), what="the bodies to arrive")
        assert (await ingest.post(b" " * 50_000, key=greedy)).status_code == 503
        answers = [await ingest.post([usage() for _ in range(20)], key=other) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [202] * 5
        for writer in writers:
            writer.transport.abort()
        await eventually(lambda: holds(ingest, False), what="the bodies to be forgotten")
        own = usage(envelope={"subject": "org_greedy"})
        assert (await ingest.post(own, key=greedy)).status_code == 202


async def test_connections_of_one_organization_leave_room_for_those_of_others(
    database: Database, topics: Topics, key: str
) -> None:
    greedy, other = [await create_key(database.dsn, name, "*") for name in ("org_greedy", "org_acme")]
    head = f"POST /api/v1/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {greedy}\r\n"
    slow = f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n ".encode()
    idle = f"{head}Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n".encode()
    async with running_here(database, topics, key, connections_max=20) as ingest:
        for sent in (slow, idle):
            connections = []
            for _ in range(40):
                connections.append(await asyncio.open_connection(*ingest.url.removeprefix("http://").split(":")))
                connections[-1][1].write(sent)
                if sent is idle:
                    assert (await connections[-1][0].readuntil(b"\r\n")).startswith(b"HTTP/1.1 415 ")
            await eventually(lambda sent=sent: fills(ingest, 10 if sent is slow else 0), what="the bodies to begin")
            answers = [await ingest.post(usage(), key=other) for _ in range(5)]
            assert [answer.status_code for answer in answers] == [202] * 5
            for _, writer in connections:
                writer.transport.abort()
            await eventually(lambda: holds(ingest, False), what="the bodies to be forgotten")


async def fills(ingest: Ingest, size: int) -> bool:
    return await ingest.metric("flexcredits_ingest_in_flight_bytes") >= size


async def test_sender_that_goes_away_leaves_nothing(database: Database, topics: Topics, key: str) -> None:
    async with running_here(database, topics, key) as ingest:
        _, writer = await asyncio.open_connection(*ingest.url.removeprefix("http://").split(":"))
        head = f"POST /api/v1/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n[{{".encode())
        await eventually(lambda: holds(ingest, True), what="the body to begin")
        writer.transport.abort()
        await eventually(lambda: holds(ingest, False), what="the body to be forgotten")
        assert await ingest.usage() == []


@pytest.mark.parametrize("drip", [b"GET / HTTP/1.1\r\nX: ", b""])
async def test_connection_without_a_request_is_closed(
    database: Database, topics: Topics, key: str, drip: bytes
) -> None:
    async with running_here(database, topics, key, head_wait_s=0.3) as ingest:
        reader, writer = await asyncio.open_connection(*ingest.url.removeprefix("http://").split(":"))
        writer.write(drip)
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_endless_head_is_refused(shared: Ingest) -> None:
    reader, writer = await asyncio.open_connection(*shared.url.removeprefix("http://").split(":"))
    with suppress(ConnectionError):
        writer.write(b"GET / HTTP/1.1\r\n")
        for _ in range(1000):
            writer.write(b"X: " + b"x" * 1000 + b"\r\n")
            await writer.drain()
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400 ")
    writer.close()
    assert (await shared.post(usage())).status_code == 202


async def test_bad_requests_do_not_fill_the_memory(shared: Ingest) -> None:
    bomb = gzip.compress(b" " * 300_000_000, 9)
    numbers = b"[" + b"1," * 4_000_000 + b"1]"
    deep = b'{"a":' * 1_000_000
    await shared.post(usage())
    before = await shared.metric("process_resident_memory_bytes")
    for _ in range(5):
        statuses = [
            (await shared.post(bomb, content_encoding="gzip")).status_code,
            (await shared.post(numbers)).status_code,
            (await shared.post(deep)).status_code,
        ]
        assert statuses == [413, 413, 400]
    assert await shared.metric("process_resident_memory_bytes") - before < 64 * 1024 * 1024


async def holds(ingest: Ingest, something: bool) -> bool:
    return (await ingest.metric("flexcredits_ingest_in_flight_bytes") > 0) is something


async def test_lone_requests_share_batches(ingest: Ingest) -> None:
    async with httpx.AsyncClient(base_url=ingest.url, headers={"Authorization": f"Bearer {ingest.key}"}) as client:
        batches = await ingest.metric("flexcredits_ingest_records_per_batch_count")
        answers = await asyncio.gather(*(client.post("/api/v1/events", json=usage()) for _ in range(200)))
        assert {answer.status_code for answer in answers} == {202}
        assert await ingest.metric("flexcredits_ingest_records_per_batch_count") - batches < 150
    assert len({json.loads(record.value or b"")["id"] for record in await ingest.usage()}) == 200


async def takes(ingest: Ingest) -> bool:
    return (await ingest.post(usage())).status_code == 202
