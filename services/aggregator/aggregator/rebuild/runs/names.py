"""Ids and parents of the runs that a rebuild meets in the log. They are kept in Postgres: a range may have millions of runs."""

from collections.abc import Iterable, Mapping

from asyncpg.pgproto.pgproto import UUID
from runtime.postgres.pool import Connection

from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of

RunKey = tuple[int, bytes]
"""Number of the organization, and identity of the run."""
RunNames = Mapping[RunKey, tuple[str, str]]
"""Id and largest parent ("": none) by run."""


class RunNameTable:
    """A temporary table of a connection that nothing else uses."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def open(self) -> None:
        await self._connection.execute(SQL["make_run_names"])

    async def note(self, names: RunNames) -> None:
        """Add names; of a run that is known, the larger parent stays."""
        if names:
            rows = [(number, UUID(run), *name) for (number, run), name in sorted(names.items())]
            await self._connection.execute(SQL["note_run_names"], *columns_of(rows))

    async def forget(self, organization_id: int) -> None:
        await self._connection.execute(SQL["forget_run_names"], organization_id)

    async def find(self, keys: Iterable[RunKey]) -> dict[RunKey, tuple[str, str]]:
        """The names of those of these runs that were noted."""
        rows = [(number, UUID(run)) for number, run in keys]
        if not rows:
            return {}
        found = await self._connection.fetch(SQL["select_run_names"], *columns_of(rows))
        return {(row["organization_id"], row["run"].bytes): (row["run_id"], row["parent_id"]) for row in found}
