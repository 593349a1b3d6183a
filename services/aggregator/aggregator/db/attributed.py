"""Adds sums of attributed usage and of runs to their tables."""

from collections.abc import Mapping

import asyncpg
from asyncpg.pgproto.pgproto import UUID
from runtime.postgres.pool import Connection

from aggregator.db.catalog_cache import StaleCatalog
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.counting.attributed import AttributedDays, attributed_months_of
from aggregator.domain.people.runs import RunSum


async def add_attributed(connection: Connection, days: AttributedDays) -> None:
    """Add to the days and months of attributions. Raises StaleCatalog when another transaction adds the same new day."""
    if len(days.credits):
        try:
            await connection.execute(SQL["add_attributed_days"], *(column.tolist() for column in days))
        except asyncpg.UniqueViolationError as error:
            raise StaleCatalog from error
        months = attributed_months_of(days)
        await connection.execute(SQL["add_attributed_months"], *(column.tolist() for column in months))


async def add_runs(connection: Connection, runs: Mapping[tuple[int, bytes], RunSum]) -> None:
    """Add to the sums of runs. A run with corrections alone exists already, or is past its retention."""
    if runs:
        rows = [
            (
                organization_id, UUID(identity), part.credits, part.events, *part.first, part.last_us, part.run_id,
                part.parent_id,
            )
            for (organization_id, identity), part in runs.items()
        ]  # fmt: skip
        await connection.execute(SQL["add_runs"], *columns_of(rows))
