"""python -m aggregator: creates settings, logs, probes, pool and clients, and runs the loop that counts."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime

import asyncpg
import structlog
from flexcredits_schemas import NEWEST_MIGRATION
from flexcredits_schemas.zones import ACCEPTED_ZONES, TZ_VERSION, offset_at
from runtime.kafka.clients import is_transient, open_consumer, open_producer
from runtime.observability.build import build_of
from runtime.observability.logs import configure_logs
from runtime.observability.probes import serve_probes
from runtime.observability.tracing import open_tracing
from runtime.periodic import every
from runtime.postgres.pool import Pool, open_pool
from runtime.postgres.schema import check_schema
from runtime.postgres.time_zones import ZoneRules
from runtime.process import ending_on_failure, run_process

from aggregator import metrics
from aggregator.catalog.reader import CatalogReader
from aggregator.catalog.zone_rules import record_zone_rules
from aggregator.consumer.consumer import UsageStream
from aggregator.consumer.rerun import rerun
from aggregator.db.catalog_cache import Catalog
from aggregator.db.statements import SQL
from aggregator.domain.dead_letter_limit import DeadLetterLimit
from aggregator.health import ASK_EVERY_S, Health
from aggregator.measures import measure_tables
from aggregator.outbox_relay import DEAD_LETTER_BYTES_MAX, Topics, relay
from aggregator.settings import Settings
from aggregator.topic_settings import find_compacted

log = structlog.get_logger()
PARTITIONS_EVERY_S = 6 * 3600
EXPIRED_RUNS = 10_000
EXPIRED_ROWS = 100_000  # a second or so
MEASURE_EVERY_S = 15
ALL_ORGANIZATIONS = 0


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Count until `stop` is set, or until a failure that only a restart can fix. Raises that failure, or SchemaTooOld."""
    async with AsyncExitStack() as stack:
        bootstrap, security = settings.kafka_bootstrap, settings.kafka_security()
        pool = await stack.enter_async_context(
            open_pool(
                settings.postgres_dsn.get_secret_value(), application="aggregator", size=8, statement_timeout_s=60
            )
        )
        await check_schema(pool, NEWEST_MIGRATION)
        producer = await stack.enter_async_context(
            open_producer(bootstrap, "aggregator", max_request_size=DEAD_LETTER_BYTES_MAX, **security)
        )
        catalog_consumer = await stack.enter_async_context(open_consumer(bootstrap, "aggregator-catalog", **security))
        consumer = await stack.enter_async_context(
            open_consumer(
                bootstrap,
                "aggregator",
                group=settings.consumer_group,
                group_instance_id=settings.consumer_instance,
                **security,
            )
        )
        ends_consumer = await stack.enter_async_context(
            open_consumer(bootstrap, "aggregator-ends", isolation_level="read_uncommitted", **security)
        )
        build = build_of("flexcredits-aggregator", settings.revision)
        tracing = await stack.enter_async_context(open_tracing(build, settings.otel_exporter_otlp_endpoint))
        catalog = Catalog(
            series_per_month=settings.series_per_month, attributions_per_month=settings.attributions_per_month
        )
        catalog_reader = CatalogReader(pool, catalog_consumer, settings.catalog_topic, catalog)
        guard = DeadLetterLimit() if settings.dead_letter_limit == "on" else None
        stream = UsageStream(
            pool, consumer, ends_consumer, settings.usage_events_topic, catalog_reader, guard, tracing,
            batch_events_max=settings.batch_events_max, batch_interval_s=settings.batch_interval_s,
            fetch_wait_ms=settings.fetch_wait_ms, stuck_exit_s=settings.stuck_exit_s,
        )  # fmt: skip
        zones = ZoneRules(TZ_VERSION, sorted(ACCEPTED_ZONES), offset_at)
        health = Health(pool, stream.state, catalog_reader, settings.stall_s, zones)
        probes = await stack.enter_async_context(
            serve_probes(settings.probe_host, settings.probe_port, health.checks, build, build_info=health.about)
        )
        await create_partitions(pool)
        await check_zones(pool, zones, health)
        await rerun(lambda: pool.execute(SQL["retry_now"], [ALL_ORGANIZATIONS]))  # a new release may contain the fix
        health.compacted = await find_compacted(
            bootstrap, (settings.usage_events_topic, settings.catalog_topic), **security
        )
        await catalog_reader.start()
        stream.subscribe()
        probes.started = True
        loops = [
            stream.run(),
            every(settings.sweep_interval_s, stream.catch_up, transient=is_transient),
            every(1, stream.watermark.advance, transient=is_transient),
            every(MEASURE_EVERY_S, lambda: measure_tables(pool, settings.usage_events_topic), name="measure_tables"),
            health.watch(),
            every(ASK_EVERY_S, health.count_failing),
            relay(
                pool,
                producer,
                Topics(settings.totals_topic, settings.dead_letter_topic),
                settings.relay_interval_s,
                tracing,
                stream.take_trace_links,
            ),
            every(PARTITIONS_EVERY_S, lambda: keep_partitions(pool), name="keep_partitions"),
            stop.wait(),
        ]
        tasks = [asyncio.create_task(ending_on_failure(loop)) for loop in loops]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def check_zones(pool: Pool, zones: ZoneRules, health: Health) -> None:
    """Compare the time zone rules with those of Postgres and of earlier releases. Logs and measures the organizations
    whose days were counted by other rules."""
    await zones.compare(pool)
    async with pool.acquire() as connection:
        outdated = await record_zone_rules(connection)
    health.outdated_zones = len(outdated)
    metrics.OUTDATED_ZONES.set(len(outdated))
    if outdated:
        log.warning(
            "days were counted by other rules of time zones: run flexcredits rebuild --time-zone-rules",
            organizations=len(outdated), first=outdated[0], tz=zones.version,
        )  # fmt: skip


async def create_partitions(pool: Pool) -> None:
    """Create time partitions ahead. Those that exist already suffice for days."""
    with skipping("create_partitions"):
        await pool.execute(SQL["ensure_partitions"], datetime.now(UTC).date())


async def keep_partitions(pool: Pool) -> None:
    """Create time partitions ahead, drop expired ones, and delete expired rows and runs, portion by portion. One step that
    takes too long does not prevent the others."""
    today = datetime.now(UTC).date()
    await create_partitions(pool)
    for statement, portion in (("delete_expired_rows", EXPIRED_ROWS), ("delete_expired_runs", EXPIRED_RUNS)):
        with skipping(statement):
            while await pool.fetchval(SQL[statement], today, portion) == portion:
                pass
    with skipping("drop_expired_partitions"):
        if dropped := [row["name"] for row in await pool.fetch(SQL["drop_expired_partitions"], today)]:
            log.info("partitions dropped", partitions=dropped)


@contextmanager
def skipping(work: str) -> Iterator[None]:
    """Leave work that took too long, or whose lock another process held, to the next run."""
    try:
        yield
    except (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError) as error:
        log.warning("skipped once", work=work, reason=f"{type(error).__name__}: {error}")


def main() -> None:
    settings = Settings()
    # A batch creates several hundred thousand tuples, which reference counting frees. The cycle collector would scan
    # all of them and the caches repeatedly: that took more than half of the decoding time.
    gc.freeze()
    gc.set_threshold(500_000, 10, 10)
    configure_logs("aggregator", settings.log_format)
    run_process(lambda stop: run(settings, stop))


if __name__ == "__main__":
    main()
