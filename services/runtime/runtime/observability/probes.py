"""The port for operators with /metrics and the three probes, separate from the port for customers."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from runtime.observability.build import Build

Checks = Callable[[], Mapping[str, str | None]]
"""The needs of the service by name: the reason why one is missing, or None. Another thread calls it, so it only reads
plain attributes."""
BuildInfo = Callable[[], Mapping[str, object]]
"""Further fields of the readiness answer, which do not affect readiness. Called like Checks."""


class Probes:
    """The answers of the probes on `port`. The service sets `started` once all its tasks have begun."""

    def __init__(self, checks: Checks, build_info: BuildInfo = dict) -> None:
        self.port = 0
        self.started = False
        self._checks = checks
        self._build_info = build_info

    def answer_started(self) -> tuple[int, bytes]:
        """The startup probe. It never fails again and checks no dependency: an outage must not restart a process that
        has started."""
        return (200, b"started\n") if self.started else (503, b"starting\n")

    def answer_ready(self) -> tuple[int, bytes]:
        checks = self._checks()
        missing = [name for name, reason in checks.items() if reason]
        answer = {
            "ready": not missing,
            "missing": missing,
            "checks": {n: reason or "ok" for n, reason in checks.items()},
            **self._build_info(),
        }
        return 503 if missing else 200, json.dumps(answer).encode() + b"\n"


class Described(Collector):
    """The metrics that every service has: its build, and its readiness checks."""

    def __init__(self, build: Build, checks: Checks) -> None:
        self._build = build
        self._checks = checks

    def collect(self) -> Iterator[Metric]:
        labels = {"service": self._build.service, "version": self._build.version, "revision": self._build.revision}
        yield InfoMetricFamily(f"{self._build.product}_build", "Which build this process is.", labels)
        up = GaugeMetricFamily(
            f"{self._build.product}_check_up", "Whether the service has what it needs, 1 or 0.", labels=["check"]
        )
        for name, reason in self._checks().items():
            up.add_metric([name], 0 if reason else 1)
        yield up


@asynccontextmanager
async def serve_probes(
    host: str,
    port: int,
    checks: Checks,
    build: Build,
    registry: CollectorRegistry = REGISTRY,
    *,
    build_info: BuildInfo = dict,
) -> AsyncIterator[Probes]:
    """Serve until the block ends. Port 0 selects a free port.

    A separate thread answers, so that the orchestrator does not consider a busy event loop dead. Liveness only shows
    that the process runs; readiness calls the checks of the service.
    """
    probes, described = Probes(checks, build_info), Described(build, checks)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, _ = self.path.partition("?")
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self.answer(200, encode(registry), content_type)
            elif path == "/health/live":
                self.answer(200, b"live\n")
            elif path == "/health/started":
                self.answer(*probes.answer_started())
            elif path == "/health/ready":
                self.answer(*probes.answer_ready(), "application/json")
            else:
                self.answer(404, b"/metrics, /health/live, /health/started, /health/ready\n")

        def answer(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Log nothing: probes come every few seconds and would fill the log."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    probes.port = server.server_address[1]
    registry.register(described)
    thread = threading.Thread(target=server.serve_forever, name="probes", daemon=True)
    thread.start()
    try:
        yield probes
    finally:
        registry.unregister(described)
        await asyncio.to_thread(server.shutdown)
        server.server_close()
