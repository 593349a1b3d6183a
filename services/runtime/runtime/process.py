"""Runs a process: reads its settings from the environment, and runs until a signal, or ends with code 1 and a log line
with the reason."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
import uvloop
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

log = structlog.get_logger()


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
