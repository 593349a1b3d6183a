"""python -m ingest: creates settings, logs, probes, Postgres and Kafka clients, and an HTTP server that runs until
SIGTERM."""

import asyncio
import gc
import time
from contextlib import AsyncExitStack

import structlog
from runtime.http.server import Server, listen, serve
from runtime.memory import keep_freed_memory
from runtime.observability.build import build_of
from runtime.observability.logs import configure_logs
from runtime.observability.probes import serve_probes
from runtime.observability.tracing import open_tracing
from runtime.postgres.pool import open_pool
from runtime.process import run_process

from ingest.adapters.table import adapters
from ingest.api import build_app, utc_now
from ingest.db.key_store import KeyStore
from ingest.domain.limits import Budget, Quota
from ingest.endpoint import EventEndpoint
from ingest.kafka.publisher import Publisher
from ingest.metrics import IN_FLIGHT_BYTES
from ingest.settings import Settings

GC_CONTAINERS = 100_000
"""Requests have thousands of containers and hardly a cycle: at the default of 700 each is searched several times."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then answer the running requests. Raises ProducerBroken, after which only a new
    process helps."""
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
        build = build_of("flexcredits-ingest", settings.revision)
        tracing = await stack.enter_async_context(open_tracing(build, settings.otel_exporter_otlp_endpoint))
        endpoint = EventEndpoint(settings, keys, quota, budget, publisher, tracing, utc_now)
        app = build_app(endpoint, adapters(settings.batch_events_max, settings.event_bytes_max))
        server = Server(
            app,
            connections_max=settings.connections_max,
            head_wait_s=settings.head_wait_s,
            shutdown_s=settings.shutdown_s,
        )
        listener = listen(settings.http_host, settings.http_port)
        probes = await stack.enter_async_context(
            serve_probes(
                settings.probe_host,
                settings.probe_port,
                lambda: {"kafka": publisher.problem, "postgres": keys.why_not_ready()},
                build,
            )
        )
        gc.freeze()  # without it, full collections of all imported modules stop a request for 60 ms
        gc.set_threshold(GC_CONTAINERS)
        keep_freed_memory()
        probes.started = True
        await serve(server, listener, stop, publisher.run(), keys.watch())


def main() -> None:
    settings = Settings()
    configure_logs("ingest", settings.log_format)
    structlog.contextvars.bind_contextvars(environment=settings.flexcredits_env)
    run_process(lambda stop: run(settings, stop))


if __name__ == "__main__":
    main()
