"""Measures the alerter's sweep over many organizations with a year of history."""

import time
from datetime import UTC, date, datetime
from typing import NamedTuple

import asyncpg
from alerter.evaluation.evaluator import Evaluator
from runtime.postgres.pool import open_pool
from support.infra.stack import Database

ORGANIZATIONS = 10_000
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FROM, TO = date(2025, 11, 23), date(2026, 11, 22)
PARTITIONS = 2


class SweepResult(NamedTuple):
    """Seconds of a sweep without new firings and of the first one, and how many organizations fired."""

    quiet_s: float
    first_s: float
    fired: int


async def fill_tables(dsn: str) -> None:
    """Insert organizations with yearly credit periods from the middle of a month, usage of all products on every day of a
    year, an admin and settings. Each second one has a budget, each hundredth has met thresholds."""
    connection = await asyncpg.connect(dsn)
    for statement in FILLING:
        await connection.execute(statement)
    await connection.close()


FILLING = [
    "INSERT INTO organizations (organization, time_zone)"
    " SELECT 'org_' || n, (ARRAY['UTC', 'America/New_York', 'Asia/Kathmandu'])[n % 3 + 1]"
    f" FROM generate_series(1, {ORGANIZATIONS}) n",
    "INSERT INTO contracts (organization_id, contract_id, starts_on, ends_on, event_at, event_offset)"
    " SELECT organization_id, 'c1', '2024-12-10', '2027-12-10', now(), 0 FROM organizations WHERE organization_id > 0",
    "INSERT INTO credit_periods (organization_id, contract_id, credit_period_id, starts_on, ends_on, total)"
    " SELECT organization_id, 'c1', 'p' || n, make_date(2024 + n, 12, 10), make_date(2025 + n, 12, 10),"
    " CASE WHEN organization_id % 100 = 0 THEN 7000 ELSE 10000 END * 1000000::bigint"
    " FROM organizations, generate_series(0, 2) n WHERE organization_id > 0",
    "INSERT INTO members SELECT organization_id, 'ada@org-' || organization_id || '.example', 'Ada', 'super_admin', false, now(), 0"
    " FROM organizations WHERE organization_id > 0",
    "INSERT INTO alert_settings (organization_id, updated_at, budget_recurring_credits)"
    " SELECT organization_id, '2026-10-01', CASE WHEN organization_id % 2 = 0 THEN 1000000000 END"
    " FROM organizations WHERE organization_id > 0",
    "INSERT INTO usage_organization_daily (organization_id, day, product, kafka_partition, credits, events)"
    " SELECT o.organization_id, day::date, product, kafka_partition, 3000000, 10 FROM organizations o,"
    f" generate_series('{FROM}'::timestamp, '{TO}', '1 day') day, unnest('{{assistant,agents,api}}'::text[]) product,"
    f" generate_series(0, {PARTITIONS - 1}) kafka_partition WHERE o.organization_id > 0",
    "INSERT INTO usage_organization_monthly SELECT organization_id, date_trunc('month', day)::date, product, kafka_partition,"
    " sum(credits), sum(events) FROM usage_organization_daily GROUP BY 1, 2, 3, 4",
    "VACUUM ANALYZE",
]


async def measure_sweep(database: Database) -> SweepResult:
    """Run two sweeps. The first fires all met thresholds; the second finds nothing, as most sweeps do."""
    dsn = database.roles["flexcredits_alerter"]
    async with open_pool(dsn, application="alerter", size=6, statement_timeout_s=20) as pool:
        evaluator = Evaluator(pool, billing_moderator_enabled=True, mail_domain="flex.example", now=lambda: NOW)
        began = time.monotonic()
        fired = await evaluator.evaluate(None, trigger="bench")
        first_s, began = time.monotonic() - began, time.monotonic()
        if await evaluator.evaluate(None, trigger="bench"):
            raise SystemExit("the second sweep found something to do")
        return SweepResult(time.monotonic() - began, first_s, fired)
