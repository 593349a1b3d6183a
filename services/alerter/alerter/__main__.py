"""python -m alerter: settings, logs, probes, pool, mail server, and a Faust application that runs until SIGTERM."""

import asyncio
import logging
import os
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import NoReturn

import structlog
from flexcredits_schemas import NEWEST_MIGRATION
from flexcredits_schemas.zones import ACCEPTED_ZONES, TZ_VERSION, offset_at
from runtime.kafka.clients import open_consumer, open_producer
from runtime.observability.build import build_of
from runtime.observability.logs import configure_logs
from runtime.observability.probes import serve_probes
from runtime.observability.tracing import open_tracing
from runtime.postgres.pool import open_pool, trace_statements
from runtime.postgres.schema import check_schema
from runtime.postgres.time_zones import ZoneRules
from runtime.process import run_process

from alerter.db.pool import open_queues
from alerter.db.quarantine_queries import retry_all
from alerter.db.statements import SQL
from alerter.email.smtp import Mailer
from alerter.evaluation.evaluator import Evaluator
from alerter.faust.app import build_app
from alerter.faust.stream import Senders, Streams, schedule
from alerter.faust.watchdog import Watchdog
from alerter.notify.public_http import open_public_http
from alerter.notify.webhooks import Deliverer
from alerter.queues.quarantine import Quarantine
from alerter.settings import Settings

log = structlog.get_logger()

WATCH_EVERY_S = 1.0
LATE_S = 15.0
"""Above the ten seconds that a request takes while Kafka is unavailable."""
STOP_WITHIN_S = 15.0
"""Faust's stop waits without limit for an unavailable coordinator. Ending the process is safe: all state is in
Postgres."""
EX_SOFTWARE = 70


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Alert until `stop` is set, or until a failure that only a restart can fix. Raises SchemaTooOld."""
    async with AsyncExitStack() as stack:
        build = build_of("flexcredits-alerter", settings.revision)
        tracing = await stack.enter_async_context(open_tracing(build, settings.otel_exporter_otlp_endpoint))
        dsn, on_statement = settings.postgres_dsn.get_secret_value(), trace_statements(tracing, SQL)
        pool = await stack.enter_async_context(
            open_pool(dsn, application="alerter", size=4, statement_timeout_s=20, on_statement=on_statement)
        )
        await check_schema(pool, NEWEST_MIGRATION)
        queues = await stack.enter_async_context(open_queues(dsn, on_statement))
        zones = ZoneRules(TZ_VERSION, sorted(ACCEPTED_ZONES), offset_at)
        watcher = await stack.enter_async_context(
            open_consumer(settings.kafka_bootstrap, "alerter-watchdog", **settings.kafka_security())
        )
        evaluator = Evaluator(
            pool,
            billing_moderator_enabled=settings.billing_moderator_enabled,
            mail_domain=settings.mail_domain,
            now=utc_now,
            tracing=tracing,
        )
        config = settings.mail_config()
        if not config.unsubscribe_secret:
            log.warning(
                "without FLEXCREDITS_UNSUBSCRIBE_SECRET mails to additional recipients have no unsubscribe link"
            )
        http = await stack.enter_async_context(open_public_http(settings.webhook_ca_file, settings.webhook_networks))
        producer = await stack.enter_async_context(
            open_producer(settings.kafka_bootstrap, "alerter", **settings.kafka_security())
        )
        senders = Senders(
            Mailer(queues, settings.mail_server(), config, tracing),
            Deliverer(queues, http, config.dashboard_url),
            producer,
        )
        stack.push_async_callback(senders.mailer.close)
        stack.push_async_callback(senders.deliverer.close)
        app = build_app(settings)
        streams = Streams(
            app,
            settings.totals_topic,
            pool,
            lambda numbers: evaluator.evaluate(numbers, trigger="totals"),
            give_up,
            tracing,
        )
        schedule(streams, settings, queues, evaluator, senders, utc_now)
        watchdog = Watchdog(streams, watcher, settings.stall_s)
        probes = await stack.enter_async_context(
            serve_probes(
                settings.probe_host,
                settings.probe_port,
                lambda: checks_of(watchdog, streams, evaluator.quarantine),
                build,
                build_info=lambda: {"time_zones": zones.about()},
            )
        )
        await zones.compare(pool)
        await retry_all(pool)
        stack.push_async_callback(stop_app, streams)
        await app.start()
        probes.started = True
        await watch(watchdog, stop)


def utc_now() -> datetime:
    return datetime.now(UTC)


async def watch(watchdog: Watchdog, stop: asyncio.Event) -> None:
    """Check the application periodically until `stop` is set. A problem ends the process."""
    while not stop.is_set():
        problem = await watchdog.find_problem()
        if problem:
            give_up(problem)
        try:
            await asyncio.wait_for(stop.wait(), WATCH_EVERY_S)
        except TimeoutError:
            continue


async def stop_app(streams: Streams) -> None:
    try:
        await asyncio.wait_for(streams.app.stop(), STOP_WITHIN_S)
    except TimeoutError:
        give_up(f"Faust did not stop within {STOP_WITHIN_S:g} s")


def give_up(reason: str) -> NoReturn:
    """End the process at once, without Faust's supervisors. This is safe: Postgres rolls back uncommitted
    transactions."""
    log.critical("stopped", reason=reason)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(EX_SOFTWARE)


def checks_of(watchdog: Watchdog, streams: Streams, quarantine: Quarantine) -> dict[str, str | None]:
    """Checks of the readiness probe. It runs in another thread, so it must not call Faust."""
    late_s = time.monotonic() - watchdog.checked_at
    return {
        "kafka": watchdog.unreachable,
        "postgres": streams.skipped.get("wakeups"),
        "partitions": None if watchdog.assigned else "none are assigned yet",
        "progress": f"the event loop has not answered for {late_s:.0f} s" if late_s > LATE_S else watchdog.late,
        "organizations": quarantine.widespread,
    }


def main() -> None:
    settings = Settings()
    configure_logs("alerter", settings.log_format)
    structlog.contextvars.bind_contextvars(environment=settings.flexcredits_env)
    logging.getLogger("faust").setLevel(logging.WARNING)
    # mode logs a warning for every timer that waits for a slow mail server
    logging.getLogger("mode").setLevel(logging.ERROR)
    logging.getLogger("alerter.faust.app").setLevel(logging.WARNING)  # Faust logs there about our subclasses
    run_process(lambda stop: run(settings, stop))


if __name__ == "__main__":
    main()
