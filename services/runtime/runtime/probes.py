"""The operators' port: /metrics, /health/live and /health/ready, apart from the port that customers reach."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder

Readiness = Callable[[], str | None]
"""Why the process is not ready, or None. Called from another thread: reads plain attributes only."""


@asynccontextmanager
async def serve_probes(
    host: str, port: int, readiness: Readiness, registry: CollectorRegistry = REGISTRY
) -> AsyncIterator[int]:
    """Serve until the block ends; yields the port, which is free choice for 0.

    A thread of its own answers, so a busy event loop does not look dead to the orchestrator; liveness says only that
    the process runs, readiness asks the service.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, _ = self.path.partition("?")
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self.answer(200, encode(registry), content_type)
            elif path == "/health/live":
                self.answer(200, b"live\n")
            elif path == "/health/ready":
                reason = readiness()
                self.answer(503 if reason else 200, f"{reason or 'ready'}\n".encode())
            else:
                self.answer(404, b"/metrics, /health/live, /health/ready\n")

        def answer(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Probes come every few seconds; they would drown the log."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="probes", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
