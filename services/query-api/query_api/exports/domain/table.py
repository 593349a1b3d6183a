"""A breakdown as CSV lines: the same rows, each followed by its child rows. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from flexcredits_schemas.credits import decimal_text

from query_api.exports.domain.cells import CellRules
from query_api.exports.domain.kinds import Columns
from query_api.usage.breakdown.domain.rows import share
from query_api.usage.breakdown.domain.tree import Row

TABLE_COLUMNS: Columns = {
    "level": "count", "path": "text", "kind": "text", "id": "text", "name": "text", "is_leaf": "flag", "credits": "credits",
    "events": "count", "share": "share",
}  # fmt: skip


def table_lines(
    rows: Sequence[Row], total: int, rules: CellRules, above: tuple[str, ...] = ()
) -> Iterator[Iterable[str | int | None]]:
    """A line for each row; `path` has the names of its parents. Lines with is_leaf true add up to `total`."""
    for row in rows:
        yield (
            len(above) + 1,
            rules.text(" > ".join(above)),
            row.kind,
            rules.id(row.id),
            rules.text(row.name),
            "false" if row.rows else "true",
            decimal_text(row.credits),
            row.events,
            decimal_text(share(row.credits, total)),
        )
        yield from table_lines(row.rows, total, rules, (*above, row.name))
