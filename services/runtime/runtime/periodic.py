"""Loops that run work at intervals, and that a transient failure only delays."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from runtime.postgres.errors import timed_out, transient_error_code

log = structlog.get_logger()


def only_delays(error: Exception, transient: Callable[[Exception], object] = transient_error_code) -> bool:
    """Whether the next run may succeed: after a transient failure or a statement timeout."""
    return bool(transient(error)) or timed_out(error)


async def every(
    interval_s: float,
    work: Callable[[], Awaitable[object]],
    *,
    name: str | None = None,
    transient: Callable[[Exception], object] = transient_error_code,
    retry_s: float | None = None,
) -> NoReturn:
    """Run `work`, then wait for `interval_s`, until the task is cancelled or `work` raises an error that is not
    transient.

    A transient failure or a statement timeout is logged under `name` and skipped. The next run begins after `retry_s`
    seconds (None: after `interval_s`). `transient` is runtime.kafka.is_transient if the work needs Kafka too.
    """
    while True:
        wait_s = interval_s
        try:
            await work()
        except Exception as error:
            if not only_delays(error, transient):
                raise
            reason = f"{type(error).__name__}: {error}"
            log.warning("skipped once", work=name or getattr(work, "__qualname__", str(work)), reason=reason)
            wait_s = interval_s if retry_s is None else retry_s
        await asyncio.sleep(wait_s)
