"""A process that failed ends, even if something that it closes hangs."""

import subprocess
import sys

HANGS = """
import asyncio
from runtime import process
from runtime.observability.logs import configure_logs

async def fails():
    raise ValueError("the disk is full")

async def hangs():
    await asyncio.Event().wait()

async def run(stop):
    try:
        await process.ending_on_failure(fails())
    finally:
        while True:
            try:
                await hangs()
            except asyncio.CancelledError:
                pass

process.END_WITHIN_S = 0.5
configure_logs("test", "json")
process.run_process(run)
"""


def test_a_failed_process_ends_and_reports_what_still_runs() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "ValueError: the disk is full" in ended.stdout + ended.stderr
    assert "run_until_signal > run > hangs" in ended.stdout + ended.stderr
