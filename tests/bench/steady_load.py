"""A steady load of usage, generated before it is sent, because sending shares cores with the services.

`python steady_load.py FILE INGEST_URL KEY PER_SECOND` sends the file's batches, one a line, in BATCH_EVENTS / PER_SECOND
seconds each.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from flexcredits_cli.generator.company.cast import companies
from flexcredits_cli.generator.usage.live import steady
from ingest_load import build_request, read_answer

BATCH_EVENTS = 250
THOUSANDTH = 1000
"""Millionths of the usual amounts: a minute of this load has the events of a year, and would exceed every threshold."""


def write_load(path: Path, organizations: int, per_second: int, seconds: float, seed: int = 1) -> None:
    """Usage of the generated companies, from now on."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    cast = list(companies(organizations))
    sendings = steady(seed, cast, now, per_second, seconds, scale=lambda _company: THOUSANDTH)
    with path.open("w") as lines:
        while batch := [sending.event for sending in islice(sendings, BATCH_EVENTS)]:
            lines.write(json.dumps(batch, separators=(",", ":")) + "\n")


@contextmanager
def sending(path: Path, ingest_url: str, key: str, per_second: int) -> Iterator[None]:
    """Send the file from another process during the block. Raises AssertionError if it ends before the block."""
    process = subprocess.Popen([sys.executable, __file__, str(path), ingest_url, key, str(per_second)])
    try:
        yield
        assert process.poll() is None, "the load ended before the measurement"
    finally:
        process.terminate()
        process.wait(20)


async def send_load(path: Path, ingest_url: str, key: str, per_second: int) -> None:
    address = urlsplit(ingest_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    began = time.monotonic()
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            await asyncio.sleep(max(0.0, began + number * BATCH_EVENTS / per_second - time.monotonic()))
            writer.write(build_request(address.netloc, key, line.strip()))
            status, body = await read_answer(reader)
            if status != 202:
                raise RuntimeError(f"{status}: {body.decode()[:500]}")
    writer.close()


if __name__ == "__main__":
    file, url, secret, rate = sys.argv[1:]
    asyncio.run(send_load(Path(file), url, secret, int(rate)))
