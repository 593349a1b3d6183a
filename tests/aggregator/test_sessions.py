"""What belongs to a session of Postgres: behind a pooler it is not the process's own."""

import re

from aggregator.db.statements import SQL
from runtime.postgres.pool import open_pool
from support.infra.stack import Database

COLUMNS = {
    "incoming_sums": "part integer, organization_id integer, period integer, series_id integer, credits bigint, events bigint",
    "incoming_attributed": "organization_id integer, period integer, attribution_id bigint, series_id integer, credits bigint,"
    " events bigint",
}
"""Of every temporary table that a release has created. Do not change a line: choose a new name for other columns."""


def test_a_temporary_table_with_other_columns_has_another_name() -> None:
    """A session, and so its tables, may outlive the release that created them."""
    created = {
        name: re.sub(r"\s+", " ", columns).replace(" NOT NULL", "").strip()
        for statement in SQL.values()
        for name, columns in re.findall(
            r"CREATE TEMPORARY TABLE IF NOT EXISTS (\w+) \((.*?)\) ON COMMIT", statement, re.DOTALL
        )
    }
    assert created
    assert created.items() <= COLUMNS.items()


async def test_a_short_wait_ends_with_the_limit_of_the_pool(database: Database) -> None:
    dsn = database.roles["flexcredits_aggregator"]
    async with (
        open_pool(dsn, application="aggregator", size=1, statement_timeout_s=60) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        usual = await connection.fetchval("SHOW lock_timeout")
        await connection.execute(SQL["wait_shortly"])
        assert await connection.fetchval("SHOW lock_timeout") == "500ms"
        await connection.execute(SQL["wait_as_usual"])
        assert await connection.fetchval("SHOW lock_timeout") == usual
