"""CPU of the Python client per recorded event: of `record`, and of the whole process with the thread that sends.

`python tests/bench/client_load.py [EVENTS [RUNS]]` prints the runs and their medians. The server is a program of its own that only counts events, so that the process measured has nothing but the client.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flexcredits_client import Client, Options

SERVER = """
import gzip, http.server, json
class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") else body
        answer = json.dumps({"accepted": body.count(b'"specversion"'), "rejected": []}).encode()
        self.send_response(202)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
print(server.server_port, flush=True)
server.serve_forever()
"""
WHO: Any = {"actor": "usr_8f3a", "group": "grp_research", "run": "conv_51d0", "labels": {"cost_center": "4711"}}
QUANTITIES = {"input_tokens": 812, "cached_input_tokens": 512, "output_tokens": 96}
PAUSE_EVERY = 5_000
"""Flush so often: a queue that is always full would measure waiting."""


@contextmanager
def counting_server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


def measure_client(events: int, options: Options) -> tuple[float, float]:
    """Microseconds of CPU per event: in `record`, and in the whole process."""
    with counting_server() as url, Client(url, "fc_bench", "/products/bench", options) as client:
        client.record("org_acme", "assistant", "tool", "jira_search", credits="1")
        client.flush()  # connections and imports are not a part of an event
        recording, began = 0.0, time.process_time()
        for start in range(0, events, PAUSE_EVERY):
            before = time.thread_time()
            for _ in range(min(PAUSE_EVERY, events - start)):
                client.record("org_acme", "assistant", "model", "gpt-5", quantities=QUANTITIES, surface="web", **WHO)
            recording += time.thread_time() - before
            client.flush()
        whole = time.process_time() - began
        assert client.stats().accepted == events + 1
    return recording / events * 1e6, whole / events * 1e6


def bench_client(events: int, runs: int) -> None:
    """By turns: the queue in memory with and without compression, and the spool."""
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            "memory": Options(),
            "memory, no gzip": Options(gzip=False),
            "spool": Options(spool=Path(folder) / "spool"),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
        for run in range(runs):
            for name, options in kinds.items():
                found[name].append(measure_client(events, options))
                record, whole = found[name][-1]
                print(f"client, {name}, run {run + 1}: record {record:.1f} us, whole process {whole:.1f} us per event")
    for name, results in found.items():
        record, whole = (statistics.median(column) for column in zip(*results, strict=True))
        print(f"client, {name}, median of {runs}: record {record:.1f} us, whole process {whole:.1f} us per event")


if __name__ == "__main__":
    given = [int(number) for number in sys.argv[1:]]
    bench_client(*(given + [50_000, 3][len(given) :]))
