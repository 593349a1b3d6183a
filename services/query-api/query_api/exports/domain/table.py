"""A breakdown as CSV lines: the same rows, each followed by its child rows. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from flexcredits_schemas.credits import decimal_text

from query_api.exports.domain.cells import guard, guard_id
from query_api.usage.breakdown.domain.rows import share
from query_api.usage.breakdown.domain.tree import Row

TABLE_COLUMNS = ("level", "path", "kind", "id", "name", "is_leaf", "credits", "events", "share")


def table_lines(rows: Sequence[Row], total: int, above: tuple[str, ...] = ()) -> Iterator[Iterable[str | int]]:
    """A line for each row; `path` has the names of its parents. Lines with is_leaf true add up to `total`."""
    for row in rows:
        yield (
            len(above) + 1,
            guard(" > ".join(above)),
            row.kind,
            guard_id(row.id),
            guard(row.name),
            "false" if row.rows else "true",
            decimal_text(row.credits),
            row.events,
            decimal_text(share(row.credits, total)),
        )
        yield from table_lines(row.rows, total, (*above, row.name))
