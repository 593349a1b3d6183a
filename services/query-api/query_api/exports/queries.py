"""What files are made of: reads of a Reading that last as long as their client takes to receive them."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import date
from typing import Any, NamedTuple

import asyncpg
from runtime.postgres import Connection, load_sql

from query_api.contracts.domain.periods import Days
from query_api.exports.domain.focus import Account, FocusDay, FocusLabel
from query_api.exports.domain.labels import Label, UsedSeries
from query_api.usage.breakdown.domain.rows import Feature

SQL = load_sql("query_api")

Output = Callable[[bytes], Coroutine[Any, Any, None]]


class ExportReads:
    """The part of a Reading that reads for files. Credits are micro-credits."""

    _connection: Connection
    _id: int | None
    unfinished = False
    """Whether a copy was broken off. Nothing can be read any more then."""

    async def select_exported_series(
        self, products: Sequence[str], feature_kinds: Sequence[str], surfaces: Sequence[str] | None
    ) -> list[UsedSeries]:
        if surfaces is not None:
            surfaces = [surface for surface in surfaces if "\0" not in surface]  # no text in Postgres has one
        rows = await self._connection.fetch(SQL["select_exported_series"], self._id, products, feature_kinds, surfaces)
        return [
            UsedSeries(series_id, product, Feature(feature_kind, feature), agent_id, surface)
            for series_id, product, feature_kind, feature, agent_id, surface in rows
        ]

    async def select_used_series(self, days: Days) -> set[int]:
        """The series that have a row within these days."""
        await self._connection.execute(SQL["plan_for_values"])
        return {row["series_id"] for row in await self._connection.fetch(SQL["select_used_series"], self._id, *days)}

    async def prepare_copy(self) -> None:
        """For the rest of the transaction, whatever the server's settings are."""
        await self._connection.execute(SQL["prepare_copy"])

    async def copy_usage(self, labels: Sequence[Label], days: Days, account: Account, output: Output) -> None:
        """Lines of daily usage and corrections as CSV without a header, given to `output` as Postgres sends them."""
        values = (account.organization, account.time_zone, *columns_of(Label, labels))
        await self._copy(SQL["copy_usage"], self._id, *days, *values, output=output)

    async def copy_focus(
        self, labels: Sequence[FocusLabel], calendar: Sequence[FocusDay], days: Days, account: Account, output: Output
    ) -> None:
        """The same lines as rows of FOCUS 1.2; `calendar` has each of the days."""
        values = (*account, *columns_of(FocusLabel, labels), *columns_of(FocusDay, calendar))
        await self._copy(SQL["copy_focus"], self._id, *days, *values, output=output)

    async def _copy(self, statement: str, *values: object, output: Output) -> None:
        """`output` may wait for as long as it likes: nothing is read ahead of it but what the sockets hold."""
        try:
            await self._connection.copy_from_query(statement, *values, output=output, format="csv")
        except asyncpg.PostgresError:
            raise  # Postgres has ended the copy, and the connection is good for the next user
        except BaseException:
            # asyncpg takes what still arrives of a cancelled copy for its end, and would confuse the next user of the
            # connection. Without it Postgres stops too.
            self.unfinished = True
            self._connection.terminate()
            raise

    async def select_name(self) -> str | None:
        name: str | None = await self._connection.fetchval(SQL["select_name"], self._id)
        return name

    async def sum_days(self, days: Days) -> dict[date, int]:
        """Micro-credits by day; days without usage are not there."""
        return {row["day"]: row["credits"] for row in await self._connection.fetch(SQL["sum_days"], self._id, *days)}


def columns_of(kind: type[NamedTuple], rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    """Columns as unnest wants them: as many as a row of this kind has, also when there is no row."""
    return [[row[at] for row in rows] for at in range(len(kind._fields))]
