"""A small OpenTelemetry collector: receives spans (OTLP over HTTP, protobuf)."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Received(NamedTuple):
    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: list[str]
    """Trace ids."""
    attributes: dict[str, str]


class Receiver:
    """The spans that arrived."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.spans: list[Received] = []
        self.bodies: list[bytes] = []
        """All received requests, unchanged."""

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            said = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {each.key: str(each.value) for each in span.attributes}
                    links = [link.trace_id.hex() for link in span.links]
                    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
                    self.spans.append(Received(said["service.name"], span.name, *ids, links, attributes))

    def named(self, name: str) -> list[Received]:
        return [span for span in list(self.spans) if span.name == name]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listens until the block ends."""
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """No log: tests print what they need."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
