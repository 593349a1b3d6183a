"""How commands answer: text for people, with --json one document on stdout, and an exit code that a script can read."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

DIFFERS = 3
"""Nothing went wrong, and something is not as it should be: drift, pending migrations, rows that differ."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")]


def print_json(document: Any) -> None:
    """Instants, days and Decimals as their texts."""
    typer.echo(json.dumps(document, default=str, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[object]], header: Sequence[str] = ()) -> None:
    """Columns as wide as their widest cell, under their names in capitals."""
    texts = [[str(cell) for cell in row] for row in rows]
    if header:
        texts.insert(0, [name.upper() for name in header])
    widths = [max(len(cell) for cell in column) for column in zip(*texts, strict=True)]
    for row in texts:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def printable(text: str) -> str:
    """Text of strangers on our terminal: no control characters."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
