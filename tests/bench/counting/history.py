"""Fills a database with a ledger of past days and its rollups, by SQL alone."""

import asyncio
from dataclasses import dataclass

import asyncpg
from support.infra.stack import with_database

ORGANIZATIONS = 300
SERIES = 60_000
QUARTERS_PER_DAY = 4
"""A series has usage in this many quarters of an hour of a day."""
AT_ONCE = 2  # connections: the machine's cores

INSERT_SERIES = """
    WITH old AS (
        INSERT INTO organizations (organization, name, time_zone)
        SELECT format('old_%s', n), 'Old', 'UTC' FROM generate_series(1, $1::integer) AS n RETURNING organization_id)
    INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)
    SELECT organization_id, 'assistant', 'tool', format('old-feature-%s', n), '', 'web'
    FROM old, generate_series(1, $2::integer) AS n"""

# Sorted by identity, so that the index grows at its end. Credits are 1 to 9 millionths; n decides everything else.
INSERT_LEDGER = """
    INSERT INTO usage_ledger (ledger_bucket, identity, organization_id, series_id, occurred_at, credits, received_at,
        kafka_offset, kafka_partition, held)
    SELECT $1, identity, s.organization_id, s.series_id, occurred_at, n % 9 + 1, occurred_at, n, 0, false
    FROM (
        SELECT n, gen_random_uuid() AS identity,
            (date '1970-01-01' + $1::integer)::timestamp AT TIME ZONE 'UTC'
                + (n / $3::bigint % $4::integer * 96 / $4::integer) * interval '15 minutes' AS occurred_at
        FROM generate_series(1, $2::bigint) AS n ORDER BY identity
    ) AS e JOIN old_series AS s ON s.number = e.n % $3::bigint"""

INSERT_ROLLUPS = (
    """INSERT INTO usage_15m (organization_id, bucket_at, series_id, credits, events)
       SELECT organization_id, occurred_at, series_id, sum(credits), count(*) FROM usage_ledger WHERE ledger_bucket = $1 GROUP BY 1, 2, 3""",
    """INSERT INTO usage_daily (organization_id, day, series_id, credits, events)
       SELECT organization_id, date '1970-01-01' + $1::integer, series_id, sum(credits), count(*) FROM usage_ledger
       WHERE ledger_bucket = $1 GROUP BY 1, 3""",
)
INSERT_SUMS = """
    INSERT INTO usage_monthly (organization_id, month, series_id, credits, events)
    SELECT organization_id, date_trunc('month', day)::date, series_id, sum(credits), sum(events) FROM usage_daily GROUP BY 1, 2, 3;
    INSERT INTO usage_organization_daily (organization_id, day, product, kafka_partition, credits, events)
    SELECT organization_id, day, 'assistant', 0, sum(credits), sum(events) FROM usage_daily GROUP BY 1, 2;
    INSERT INTO usage_organization_monthly (organization_id, month, product, kafka_partition, credits, events)
    SELECT organization_id, month, 'assistant', 0, sum(credits), sum(events) FROM usage_monthly GROUP BY 1, 2;"""


@dataclass(frozen=True)
class History:
    """Rows of the ledger, and their credits in millionths."""

    rows: int
    credits: int


NOTHING = History(0, 0)


async def add_history(server: str, database: str, days: int, rows: int) -> History:
    """Insert `rows` ledger rows of the last `days` days, today excluded, of organizations that the benchmark's log lacks.

    The database has no usage yet. A minute for ten million rows.
    """
    dsn = with_database(server, database)
    owner = await asyncpg.connect(dsn)
    try:
        today = await owner.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date - date '1970-01-01'")
        await owner.execute("SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date)")
        await owner.execute(INSERT_SERIES, ORGANIZATIONS, SERIES // ORGANIZATIONS)
        await owner.execute(
            "CREATE TABLE old_series AS SELECT row_number() OVER (ORDER BY series_id) - 1 AS number, organization_id, series_id"
            " FROM usage_series"
        )
        await owner.execute("ALTER TABLE old_series ADD PRIMARY KEY (number); ANALYZE old_series")
        waiting = list(range(today - days, today))
        await asyncio.gather(*(insert_days(dsn, waiting, rows // days) for _ in range(AT_ONCE)))
        await owner.execute(INSERT_SUMS)
        await owner.execute("DROP TABLE old_series")
        await owner.execute("VACUUM (ANALYZE)")  # else autovacuum does it during the measurement
        await owner.execute("CHECKPOINT")
        history = await owner.fetchrow("SELECT count(*), coalesce(sum(credits), 0)::bigint FROM usage_ledger")
        return History(*history)
    finally:
        await owner.close()


async def insert_days(dsn: str, waiting: list[int], rows_per_day: int) -> None:
    """Insert days of `waiting` until none is left."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET synchronous_commit = off; SET work_mem = '256MB'")
        while waiting:
            day = waiting.pop()
            await connection.execute(INSERT_LEDGER, day, rows_per_day, SERIES, QUARTERS_PER_DAY)
            for statement in INSERT_ROLLUPS:
                await connection.execute(statement, day)
    finally:
        await connection.close()
