"""Runs a step again while its failures are transient."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError
from runtime.postgres.errors import timed_out, transient_error_code

from aggregator import metrics

log = structlog.get_logger()
RERUN_WAIT_S = (0.05, 0.1, 0.2, 0.5, 1.0)
Result = TypeVar("Result")


async def rerun(work: Callable[[], Awaitable[Result]]) -> Result:
    """Run `work` again while its failures are transient or timeouts. Any other failure crashes the process, and the
    restart replays the batch."""
    attempt = 0
    while True:
        try:
            return await work()
        except Exception as error:
            code = transient_error_code(error) or ("57014" if timed_out(error) else None)
            if isinstance(error, KafkaError) and error.retriable:
                code = type(error).__name__
            if code is None:
                raise
            wait_s = RERUN_WAIT_S[min(attempt, len(RERUN_WAIT_S) - 1)]
            attempt += 1
            metrics.RERUNS.labels(code).inc()
            log.warning("retrying", reason=f"{type(error).__name__}: {error}", attempt=attempt, wait_s=wait_s)
            await asyncio.sleep(wait_s)
