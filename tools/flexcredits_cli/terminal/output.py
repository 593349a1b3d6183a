"""Output of commands: text, or one JSON document on stdout with --json; and exit codes."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

DIFFERS = 3
"""Exit code for a successful check that found differences: drift, pending migrations, differing rows."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")]


def print_json(document: Any) -> None:
    """Print JSON; instants, days and Decimals become strings."""
    typer.echo(json.dumps(document, default=str, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[object]], header: Sequence[str] = ()) -> None:
    """Print rows as aligned columns; header names are in capitals."""
    texts = [[str(cell) for cell in row] for row in rows]
    if header:
        texts.insert(0, [name.upper() for name in header])
    widths = [max(len(cell) for cell in column) for column in zip(*texts, strict=True)]
    for row in texts:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def printable(text: str) -> str:
    """Escape control characters: the text comes from outside and could control the terminal."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
