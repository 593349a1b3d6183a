"""The life of a process: it is told by its environment, and runs until a signal asks it to stop, or ends with code 1 and
one line that says why."""

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
    """What every service is told: the variables have one name and one meaning each."""

    # What is wrong is told without its value, which may be a secret or stand beside one.
    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    postgres_dsn: SecretStr
    probe_host: str = "127.0.0.1"
    probe_port: int
    log_format: Literal["json", "console"] = "json"
    revision: str = ""
    """The source revision that the image was built from, for the build's metric."""
    otel_exporter_otlp_endpoint: str = ""
    """Where spans are sent, by OTLP over HTTP; without it none are made. The SDK's other OTEL_ variables hold too."""


def run_process(run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run until it returns. The event is set by SIGTERM or SIGINT; what it raises only a new process can mend."""

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
