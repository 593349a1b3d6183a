"""Loops: transient failures and slow statements are skipped once, every other failure ends them."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from runtime.kafka.clients import is_transient
from runtime.periodic import every
from structlog.testing import capture_logs

CANCELED = asyncpg.QueryCanceledError("canceling statement due to statement timeout")
LOST = asyncpg.ConnectionDoesNotExistError("lost")
NO_BROKER = KafkaConnectionError("no broker")


async def run_until_it_succeeds(failures: Sequence[Exception], within_s: float = 5.0, **options: object) -> None:
    """A loop whose first runs fail. Raises what ends it."""
    left, has_succeeded = list(failures), asyncio.Event()

    async def work() -> None:
        if left:
            raise left.pop(0)
        has_succeeded.set()

    loop = asyncio.create_task(every(0, work, **options))  # type: ignore[arg-type]
    done = asyncio.create_task(has_succeeded.wait())
    await asyncio.wait({loop, done}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    if loop.done():
        done.cancel()
        await loop
    loop.cancel()
    assert has_succeeded.is_set()


async def test_a_loop_skips_once_what_is_transient_or_takes_too_long() -> None:
    with capture_logs() as logs:
        await run_until_it_succeeds([CANCELED, LOST, NO_BROKER], name="counting", transient=is_transient)
    assert [(log["event"], log["work"], log["reason"]) for log in logs] == [
        ("skipped once", "counting", f"{type(error).__name__}: {error}") for error in (CANCELED, LOST, NO_BROKER)
    ]


@pytest.mark.parametrize("failure", [ValueError("a defect"), NO_BROKER, asyncpg.CheckViolationError("a defect")])
async def test_another_failure_ends_a_loop(failure: Exception) -> None:
    with pytest.raises(type(failure)):
        await run_until_it_succeeds([failure])


async def test_after_a_failure_the_next_run_comes_when_it_is_asked_to() -> None:
    with capture_logs():
        await run_until_it_succeeds([LOST], retry_s=0.01)
        with pytest.raises(AssertionError):
            await run_until_it_succeeds([LOST], within_s=0.1, retry_s=60)
