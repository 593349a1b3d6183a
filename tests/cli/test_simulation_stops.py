"""The simulator exits on the signal that stops a container, while it sends and while it waits."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class TakesEverything(BaseHTTPRequestHandler):
    """An ingest API that accepts all events."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"accepted": 1, "duplicates": 0, "rejected": []}'
        self.send_response(202)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.asked.set()  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass


@pytest.fixture
def ingest() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), TakesEverything) as server:
        server.asked = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "command",
    [("rate", "--per-second", "20", "--seconds", "600"), ("backfill", "--events", "5000000"), ("scenario",)],
    ids=lambda command: command[0],
)
def test_sigterm_ends_it_within_two_seconds_with_a_last_line(
    command: tuple[str, ...], ingest: ThreadingHTTPServer
) -> None:
    environment = {**os.environ, "INGEST_URL": f"http://127.0.0.1:{ingest.server_address[1]}", "INGEST_KEY": "key"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "flexcredits_cli", "simulate", *command],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert ingest.asked.wait(60)  # type: ignore[attr-defined]
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    output, _ = process.communicate(timeout=20)
    assert time.monotonic() - began < 2
    assert process.returncode in (0, 128 + signal.SIGTERM)
    assert output.splitlines()[-1].startswith("stopped; ")
