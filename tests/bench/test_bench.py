"""Runs the benchmarks of counting with a few events, on the servers of the tests: their figures mean nothing, their checks do."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

BENCH = Path(__file__).with_name("bench.py")
Bench = Callable[..., str]
SPEED = r"[\d,]+"


@pytest.fixture
def bench(kafka_bootstrap: str, postgres_dsn: str) -> Bench:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, BENCH, *arguments],
            env={**os.environ, "KAFKA_BOOTSTRAP": kafka_bootstrap, "POSTGRES_DSN": postgres_dsn},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.timeout(300)
def test_aggregator_is_compared_with_a_mixed_log_and_with_a_history(bench: Bench) -> None:
    printed = bench(
        "aggregator", "--events", "3000", "--runs", "1", "--mix", "--history", "2", "--history-rows", "5000"
    )  # fmt: skip
    assert "history of 2 days and 10,000 rows inserted" in printed
    for name in ("aggregator", "aggregator, mixed", "aggregator, history"):
        assert re.search(rf"^{name} run 1: {SPEED} events/s; CPU per event .* exact", printed, re.MULTILINE)
        assert re.search(rf"^{name} median of 1: {SPEED} events/s", printed, re.MULTILINE)


@pytest.mark.timeout(300)
def test_each_protocol_is_compared_with_ours(bench: Bench) -> None:
    printed = bench("adapters", "--events", "1000", "--runs", "1")
    for name in ("native", "native 14 kB", "openmeter", "otlp spans", "litellm", "litellm short", "lago"):
        line = rf"^adapters, {name} median of 1: [\d.]+ us \([\d.]+ to [\d.]+\), \d+\.\d\d of ours$"
        assert re.search(line, printed, re.MULTILINE)


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not (shutil.which("mvn") and shutil.which("javac")), reason="Kafka Streams is built with Maven and a JDK"
)
def test_peers_end_with_their_ratio(bench: Bench) -> None:
    printed = bench("peers", "--events", "3000", "--runs", "1", "--aggregators", "2")
    assert re.search(r"^kafka streams, run 1: .* exact$", printed, re.MULTILINE)
    last = printed.splitlines()[-1]
    assert re.fullmatch(rf"ours {SPEED}/s, kafka streams {SPEED}/s, ratio \d+\.\d\d", last)


def test_the_client_is_measured_with_each_queue() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, BENCH.with_name("client_load.py"), "200", "1"]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout
    for kind in ("memory", "memory, no gzip", "spool"):
        line = rf"^client, {kind}, median of 1: record [\d.]+ us, whole process [\d.]+ us per event$"
        assert re.search(line, printed, re.MULTILINE)


def test_without_maven_the_peer_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCH.parent))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    from counting.kafka_streams import PeerMissing, build

    with pytest.raises(PeerMissing, match=r"Maven \(mvn\) and a JDK \(javac\) not found"):
        build()


@pytest.mark.timeout(300)
def test_limits_print_the_share_that_the_aggregator_reaches(bench: Bench) -> None:
    printed = bench("limits", "--events", "3000", "--runs", "1")
    for limit in ("sorted binary COPY of the ledger's rows", "fetch by aiokafka alone", "decoding alone"):
        assert re.search(rf"^{limit}: {SPEED}/s, .* the aggregator reaches [\d.]+ of it$", printed, re.MULTILINE)


@pytest.mark.timeout(300)
def test_scale_writes_its_figures_and_draws_them(bench: Bench, tmp_path: Path) -> None:
    output = tmp_path / "growth.json"
    bench("scale", "--events", "200", "--axes", "limited", "--json", str(output))
    points = json.loads(output.read_text())
    assert [(point["axis"], point["value"]) for point in points] == [
        ("aggregators, 2,000/s each", n) for n in (1, 2, 3)
    ]
    assert all(point["events_per_second"] > 0 and point["wal_bytes"] > 0 for point in points)
    assert ElementTree.parse(output.with_suffix(".svg")).getroot().tag.endswith("svg")


def test_decoding_needs_no_server() -> None:
    decoding = BENCH.parent / "counting" / "decoding.py"
    printed = subprocess.run([sys.executable, decoding, "2000"], capture_output=True, text=True, timeout=60, check=True)
    assert re.match(r"Python \d\.\d+\.\d+ \(GIL\): decoding takes [\d.]+ us of CPU per event", printed.stdout)
