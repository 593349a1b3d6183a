"""Adds sums of attributed usage and of runs to their tables."""

from collections.abc import Mapping

import asyncpg
import numpy as np
from asyncpg.pgproto.pgproto import UUID
from runtime.postgres.pool import Connection

from aggregator.db.binary_copy import copy_rows
from aggregator.db.catalog_cache import StaleCatalog
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.counting.attributed import AttributedDays, attributed_months_of
from aggregator.domain.people.runs import RunSum

_INCOMING = {
    "organization_id": ">i4", "period": ">i4", "attribution_id": ">i8", "series_id": ">i4", "credits": ">i8", "events": ">i8",
}  # fmt: skip
"""Columns of incoming_attributed, with their types. Months have series 0."""


async def add_attributed(connection: Connection, days: AttributedDays) -> None:
    """Add to the days and months of attributions. Raises StaleCatalog when another transaction adds the same new day."""
    if len(days.credits):
        months = attributed_months_of(days)
        columns = [np.concatenate(pair) for pair in zip(days, months, strict=True)]
        await connection.execute(SQL["clear_attributed"])
        fields = zip(_INCOMING, zip(columns, _INCOMING.values(), strict=True), strict=True)
        await copy_rows(connection, "incoming_attributed", dict(fields))
        try:
            await connection.execute(SQL["add_attributed_days"])
        except asyncpg.UniqueViolationError as error:
            raise StaleCatalog from error
        try:
            async with connection.transaction():
                await connection.execute(SQL["merge_attributed_months"])
        except asyncpg.UniqueViolationError:
            # A person who uses several features is in several partitions.
            await connection.execute(SQL["add_attributed_months"])


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
