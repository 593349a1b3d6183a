"""The HTTP server: uvicorn with limits on connections that it lacks, and without its own signal handlers."""

import asyncio
import re
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import uvicorn
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Longer than load balancers keep a connection, so that the server never closes one that is being reused.
KEEP_ALIVE_S = 75
HEAD_BYTES_MAX = 32 * 1024
UPGRADE_FIELDS = (b"upgrade", b"http2-settings")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id_of(given: str) -> str:
    """The X-Request-Id of the request if it is safe to log, else a new id."""
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex


class Connection(HttpToolsProtocol):
    """A connection with limits on the size and duration of request heads. The application limits bodies.

    A request to change to another protocol is answered as if it did not ask, as RFC 9110 7.8 allows. Java's HttpClient
    asks for HTTP/2 with each new connection. httptools and uvicorn would drop the body of that request.
    """

    def __init__(self, *args: Any, head_wait_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_wait_s = head_wait_s
        self._head_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._close_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        try:
            self._feed(data)
        except HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._deadline:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._end_head()
                self.send_400_response("The head of the request is too large.")

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            method, version = self.parser.get_method(), self.parser.get_http_version().encode()
            if method == b"CONNECT":
                raise HttpParserError("this server is no proxy") from None
            lines = [b"%b: %b\r\n" % field for field in self.headers if field[0] not in UPGRADE_FIELDS]
            head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(lines))
            self.parser = HttpRequestParser(self)
            self._feed(head + data[upgrade.args[0] :])

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()  # not for each byte, as uvicorn does: after a refusal the body may go on without end
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._end_head()
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.body or self.cycle.response_complete:
            if isinstance(self.cycle.body, bytes):  # adding to bytes copies all of them, for each of many small chunks
                self.cycle.body = bytearray(self.cycle.body)
            super().on_body(body)
        else:  # uvicorn would copy the bytes into a bytearray, and that into bytes again
            self.cycle.body = body  # type: ignore[assignment]
            super().on_body(b"")

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _close_idle(self) -> None:
        """Close the connection that has waited longest for its next request: else a client that keeps many open takes the
        places of all."""
        others = [
            at for at in self.connections if isinstance(at, Connection) and not at.transport.get_write_buffer_size()
        ]
        idle = {at.timeout_keep_alive_task.when(): at for at in others if at.timeout_keep_alive_task}
        if idle:
            closed = idle[min(idle)]
            closed.transport.close()
            self.connections.discard(closed)  # at once: further connections and requests may come before it is lost

    def _expect_head(self) -> None:
        self._end_head()
        self._deadline = self.loop.call_later(self._head_wait_s, self.transport.abort)

    def _end_head(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline, self._head_bytes = None, 0


class Server(uvicorn.Server):
    """Serves until `should_exit`, then finishes running requests within `shutdown_s`."""

    def __init__(self, app: Any, *, connections_max: int, head_wait_s: float, shutdown_s: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=partial(Connection, head_wait_s=head_wait_s),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(shutdown_s),
                limit_concurrency=connections_max,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handlers: those of uvicorn would raise the signal again after the stop, and the exit code would
        not be 0."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """A socket for several processes, of which each listens when it is ready. Raises OSError if the port is in use."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound


def listen(host: str, port: int) -> socket.socket:
    """The listening socket. Raises OSError if the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


async def serve(
    server: Server, listener: socket.socket, stop: asyncio.Event, *background: Coroutine[Any, Any, None]
) -> None:
    """Serve until `stop` is set or one of `background` ends. Then finish running requests, and raise the failure of the
    task that ended."""
    serving = asyncio.create_task(server.serve([listener]))
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(work) for work in (stop.wait(), *background)]
    try:
        await asyncio.wait([serving, *tasks], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        for ended in tasks:
            if ended.done():
                ended.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
