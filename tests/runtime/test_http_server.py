"""The HTTP server on a real socket, with an application that answers what it received."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from runtime.http.server import Server, listen, serve

UPGRADE = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
"""As Java's HttpClient sends it with each new connection."""


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
        if scope["path"] == "/refused":  # before its body is read
            break
    names = sorted(name.decode() for name, _ in scope["headers"])
    answer = json.dumps([scope["method"], scope["path"], scope["query_string"].decode(), names, body.decode()]).encode()
    length = str(len(answer)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": answer})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    stop, listener = asyncio.Event(), listen("127.0.0.1", 0)
    server = Server(echo, connections_max=10, head_wait_s=5, shutdown_s=1)
    task = asyncio.create_task(serve(server, listener, stop))
    yield listener.getsockname()[1]
    stop.set()
    await task


async def test_each_of_many_new_connections_takes_the_place_of_an_idle_one(port: int) -> None:
    """They are accepted in one turn of the event loop, before any of the closed ones is lost."""
    asking = request("POST", "", "hello").encode()

    async def begin() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking)
        return reader, writer

    async with asyncio.timeout(5):
        idle = [await begin() for _ in range(9)]
        for reader, _ in idle:
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        fresh = await asyncio.gather(*(begin() for _ in range(6)))
        answers = [await reader.readuntil(b"\r\n") for reader, _ in fresh]
    for _, writer in [*idle, *fresh]:
        writer.close()
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200"}


async def test_a_body_that_goes_on_after_its_refusal_keeps_no_place(port: int) -> None:
    head = "POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    async with asyncio.timeout(5):
        dripping = [await asyncio.open_connection("127.0.0.1", port) for _ in range(9)]
        for reader, writer in dripping:
            writer.write(f"{head}x".encode())
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
            writer.write(b"x")
        await asyncio.sleep(0.1)
        for _ in range(3):
            assert len(await exchange(port, request("POST", "", "hello"), answers=1)) == 1
    for _, writer in dripping:
        writer.close()


async def exchange(port: int, *pieces: str, answers: int) -> list[Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = []
    for piece in pieces:
        writer.write(piece.encode())
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        for _ in range(answers):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("http/1.1 200"), head
            length = int(head.partition("content-length: ")[2].partition("\r")[0])
            received.append(json.loads(await reader.readexactly(length)))
    writer.close()
    await writer.wait_closed()
    return received


def request(method: str, upgrade: str, body: str, chunked: bool = False) -> str:
    if chunked:
        framing, content = "Transfer-Encoding: chunked\r\n", f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
    else:
        framing, content = f"Content-Length: {len(body)}\r\n", body
    return f"{method} /a?b=c HTTP/1.1\r\nHost: test\r\nX-Two: 1\r\nX-Two: 2\r\n{upgrade}{framing}\r\n{content}"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("cut", [None, 20, -3])
async def test_a_request_that_asks_for_another_protocol_is_answered_in_this_one(
    port: int, chunked: bool, cut: int | None
) -> None:
    asking, plain = request("POST", UPGRADE, "hello", chunked), request("POST", "", "again")
    pieces = [asking, plain] if cut is None else [asking[:cut], asking[cut:], plain]
    first, second = await exchange(port, *pieces, answers=2)
    framing = "transfer-encoding" if chunked else "content-length"
    assert first == ["POST", "/a", "b=c", sorted(["connection", "host", framing, "x-two", "x-two"]), "hello"]
    assert second == ["POST", "/a", "b=c", ["content-length", "host", "x-two", "x-two"], "again"]


async def test_a_request_without_a_body_may_ask_too(port: int) -> None:
    asking = f"GET /a HTTP/1.1\r\nHost: test\r\n{UPGRADE}\r\n"
    answers = await exchange(port, asking + asking, asking, answers=3)
    assert [answer[0] for answer in answers] == ["GET"] * 3


@pytest.mark.parametrize("head", ["CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "POST / HTTP/9\r\n\r\n", "\x01\r\n\r\n"])
async def test_what_is_no_request_is_refused(port: int, head: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
async def test_a_body_is_the_same_in_whatever_pieces_it_comes(port: int, chunked: bool) -> None:
    body = "".join(map(str, range(60_000)))
    sent = request("POST", "", body, chunked)
    for size in (len(sent), 100_000, 70_000, 9_999):
        pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
        [answer] = await exchange(port, *pieces, answers=1)
        assert answer[-1] == body


async def test_a_body_in_very_many_chunks_is_the_same(port: int) -> None:
    """asyncio reads up to 256 kB at once, so that thousands of chunks come before the application reads."""
    body = "".join(map(str, range(20_000)))
    chunks = "".join(f"5\r\n{body[start : start + 5]}\r\n" for start in range(0, len(body) // 5 * 5, 5))
    head = "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    [answer] = await exchange(port, f"{head}{chunks}0\r\n\r\n", answers=1)
    assert answer[-1] == body[: len(body) // 5 * 5]
