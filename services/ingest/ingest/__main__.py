"""python -m ingest: settings, logs, probes, Postgres, Kafka, and an HTTP server that runs until SIGTERM."""

import asyncio
import signal
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

import structlog
import uvloop
from runtime.logs import configure_logs
from runtime.postgres import open_pool
from runtime.probes import serve_probes

from ingest.api import Intake, build_app, utc_now
from ingest.limits import Budget, Quota
from ingest.metrics import IN_FLIGHT_BYTES
from ingest.publish import Publisher
from ingest.server import Server, listen
from ingest.settings import Settings
from ingest.store import KeyStore

log = structlog.get_logger()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop`, then answer what has begun. Raises ProducerBroken, after which only a new process helps."""
    async with AsyncExitStack() as stack:
        dsn = settings.postgres_dsn.get_secret_value()
        pool = await stack.enter_async_context(
            open_pool(dsn, application="ingest", size=3, at_least=0, statement_timeout_s=2)
        )
        keys = KeyStore(pool, fresh_s=settings.key_cache_s, stale_s=settings.key_stale_s)
        budget = Budget(settings.in_flight_bytes_max)
        IN_FLIGHT_BYTES.set_function(lambda: budget.held)
        publisher = Publisher(
            settings.kafka_bootstrap,
            [settings.usage_events_topic, settings.catalog_topic, settings.dead_letter_topic],
            budget,
            settings.produce_wait_s,
            settings.kafka_security(),
        )
        quota = Quota(settings.events_per_second_max, time.monotonic)
        app = build_app(Intake(settings, keys, quota, budget, publisher, utc_now))
        server = Server(
            app,
            connections_max=settings.connections_max,
            head_wait_s=settings.head_wait_s,
            shutdown_s=settings.shutdown_s,
        )
        listener = listen(settings.http_host, settings.http_port)
        await stack.enter_async_context(
            serve_probes(settings.probe_host, settings.probe_port, lambda: publisher.problem or keys.why_not_ready())
        )
        serving = asyncio.create_task(server.serve([listener]))
        background: list[asyncio.Task[Any]] = [
            asyncio.create_task(work) for work in (publisher.run(), keys.watch(), stop.wait())
        ]
        try:
            await asyncio.wait([serving, *background], return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving
            for ended in background:
                if ended.done():
                    ended.result()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)


async def run_until_signal(settings: Settings) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    await run(settings, stop)


def main() -> None:
    settings = Settings()
    configure_logs("ingest", settings.log_format)
    structlog.contextvars.bind_contextvars(environment=settings.flexcredits_env)
    try:
        uvloop.run(run_until_signal(settings))
    except Exception:
        log.critical("stopped", exc_info=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
