"""An HTTP server that answers as ingest does, and fails as a test says: for clients, without Kafka and Postgres."""

import gzip
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True)
class Behaviour:
    """What happens to one request. Without a `status` the connection is closed instead of an answer."""

    status: int | None = 202
    is_stored: bool = True
    """Whether the events are kept, as far as the answer is concerned with them."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_slow: bool = False
    """Send the answer byte by byte until the client gives up or the server ends."""
    is_cut: bool = False
    """Reset the connection in the middle of the answer."""


ACCEPT = Behaviour()
CLOSE = Behaviour(status=None, is_stored=False)
STORE_AND_CLOSE = Behaviour(status=None)
NOT_A_RECEIPT = Behaviour(status=202, is_stored=False, body=b"<html>sign in</html>")
SLOW = Behaviour(is_slow=True)
CUT = Behaviour(is_cut=True)


def refuse(status: int, **headers: str) -> Behaviour:
    body = json.dumps(
        {"type": "/problems/test", "title": "no", "status": status, "detail": "as the test says"}
    ).encode()
    return Behaviour(status, is_stored=False, headers={n.replace("_", "-"): v for n, v in headers.items()}, body=body)


def page(status: int) -> Behaviour:
    """The answer of something between client and service, such as a proxy or a firewall."""
    return Behaviour(status, is_stored=False, body=b"<html>blocked</html>")


class ScriptedIngest:
    """`plan` is called with each request's events and says how to behave; the default accepts."""

    def __init__(self, port: int = 0) -> None:
        self.plan: Callable[[list[Event]], Behaviour] = lambda events: ACCEPT
        self.refused_features: frozenset[str] = frozenset()
        """Events of these features are refused one by one, as with an invalid field."""
        self.events_max = 10_000
        self.stored: dict[str, Event] = {}
        self.requests: list[list[Event]] = []
        self.copies: Counter[str] = Counter()
        self.headers: list[Mapping[str, str]] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def end(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def ids(self) -> set[str]:
        return set(self.stored)

    def take(self, headers: Mapping[str, str], body: bytes) -> Behaviour:
        """Store what the plan lets through, and complete the answer."""
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        events: list[Event] = json.loads(body)
        with self._lock:
            self.requests.append(events)
            self.headers.append(headers)
            behaviour = self.plan(events)
            if len(events) > self.events_max:
                return refuse(413)
            if not behaviour.is_stored:
                return behaviour
            rejected = []
            for index, event in enumerate(events):
                if event["data"]["feature"] in self.refused_features:
                    rejected.append({"index": index, "id": event["id"], "pointer": "/data/feature", "detail": "no"})
                    continue
                first = self.stored.setdefault(event["id"], event)
                assert first == event, "a retry is a copy"
                self.copies[event["id"]] += 1
            if rejected and len(rejected) == len(events):
                problem = {"type": "/problems/invalid-events", "status": 422, "detail": "no", "rejected": rejected}
                return Behaviour(422, body=json.dumps(problem).encode(), headers=behaviour.headers)
            receipt = {"accepted": len(events) - len(rejected), "rejected": rejected}
            body = json.dumps(receipt).encode()
            return replace(behaviour, body=body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        ingest = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two writes

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                behaviour = ingest.take(dict(self.headers), body)
                if behaviour.status is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                answer = behaviour.body or b""
                self.send_response(behaviour.status)
                for name, value in {**behaviour.headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if behaviour.is_cut:
                    self.wfile.write(answer[: len(answer) // 2])
                    linger = struct.pack("ii", 1, 0)  # close() resets the connection
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True
                    return
                for start in range(len(answer)) if behaviour.is_slow else ():
                    self.wfile.write(answer[start : start + 1])
                    if ingest.ended.wait(0.2):
                        return
                if not behaviour.is_slow:
                    self.wfile.write(answer)

            def handle(self) -> None:
                with suppress(ConnectionError):  # the client has given up
                    super().handle()

            def log_message(self, *arguments: object) -> None:
                """Print nothing."""

        return Handler


@contextmanager
def scripted_ingest(port: int = 0) -> Iterator[ScriptedIngest]:
    ingest = ScriptedIngest(port)
    thread = threading.Thread(target=ingest.serve, daemon=True)
    thread.start()
    try:
        yield ingest
    finally:
        ingest.end()
        thread.join(5)
