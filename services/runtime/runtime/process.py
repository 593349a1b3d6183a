"""Runs a process: reads its settings from the environment, and runs until a signal, or ends with code 1 and a log line
with the reason."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
import uvloop
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

log = structlog.get_logger()

END_WITHIN_S = 40.0
"""Limit for ending after a failure. Closing three clients without Kafka takes 35 s."""


class ProcessSettings(BaseSettings):
    """Settings that every service has: each variable has one name and one meaning."""

    # Error messages omit the value, which may be or contain a secret.
    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    postgres_dsn: SecretStr
    probe_host: str = "127.0.0.1"
    probe_port: int
    log_format: Literal["json", "console"] = "json"
    revision: str = ""
    """The source revision of the image, for the metric of the build."""
    otel_exporter_otlp_endpoint: str = ""
    """Endpoint for spans, by OTLP over HTTP; empty: no spans are created. The other OTEL_ variables of the SDK apply
    too."""


def run_process(run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `run` until it returns. SIGTERM and SIGINT set the event. After an exception only a new process helps: exit
    with code 1."""

    async def run_until_signal() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run(stop)

    try:
        uvloop.run(run_until_signal())
    except Exception:
        log.critical("stopped", exc_info=True)
        sys.exit(1)


async def ending_on_failure(loop: Awaitable[object]) -> None:
    """Run a loop. If it fails, the process ends within END_WITHIN_S, even if a task or client hangs while everything is
    closed: such a process would keep its partitions, and nothing would count them."""
    try:
        await loop
    except Exception as error:
        log.critical("ending", reason=f"{type(error).__name__}: {error}")
        timer = threading.Timer(END_WITHIN_S, _end_at_once, [asyncio.get_running_loop()])
        timer.daemon = True
        timer.start()
        raise


def _end_at_once(event_loop: asyncio.AbstractEventLoop) -> None:
    hanging = [_describe(task.get_coro()) for task in asyncio.all_tasks(event_loop)]
    log.critical("stopped", reason=f"did not end within {END_WITHIN_S:g} s of a failure", hanging=hanging)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(1)


def _describe(coroutine: object) -> str:
    """The coroutines that wait for each other in a task, the first one first."""
    names = []
    while name := getattr(coroutine, "__qualname__", None):
        names.append(name)
        coroutine = getattr(coroutine, "cr_await", None)
    return " > ".join(names)
