"""docs/files.md: its code for each program, and its table of what a program makes of a file without it."""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

from flexcredits_cli.machine.state_folder import REPOSITORY
from support.data.awkward_usage import CSV, IDS, PARQUET, amounts

PAGE = (REPOSITORY / "docs" / "files.md").read_text()
LOCKED = (
    "duckdb==2.0.1", "numpy==2.4.6", "pandas==3.1.1", "polars==2.1.0", "polars-runtime-32==2.1.0", "pyarrow==26.0.1",
    "python-dateutil==4.0.0", "tzdata==2026.6",
)  # fmt: skip
"""All packages of the libraries' environment."""
APOSTROPHE = re.findall(r"^\^'\(.*$", PAGE, re.MULTILINE)[0]
"""The page's regular expression for ids that have an apostrophe against formulas."""
TEXTS = {"str", "String", "VARCHAR", "character", "text", "string"}
"""Names of the programs' types for texts."""
CREDITS = {"small.csv": "credits, sum 2.999903", "large.csv": "credits, sum 3000000999999.999999"}
TYPES = {"usage.csv": ("events", "date"), "cost-and-usage.csv": ("ChargePeriodStart", "x_PriceUnknown", "SubAccountId")}


def code_for(program: str, word: str = "usage.csv") -> str:
    """The only block below the program's heading that contains `word`."""
    section = re.split(r"^###? ", PAGE.partition(f"### {program}\n")[2], flags=re.MULTILINE)[0]
    (found,) = (block for block in re.findall(r"```\w+\n(.*?)```", section, re.DOTALL) if word in block)
    return str(found)


def column_of(program: str) -> dict[str, str]:
    """The table's cells of the program, by the first cell of their rows."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.splitlines()
        if line[:3] in ("| `", "| c")
    ]
    (head,) = (row for row in rows if row[0] == "cell")
    at = [name.rpartition(" ")[0] if name != "cell" else name for name in head].index(program)
    return {row[0].strip("` "): row[at] for row in rows if len(row) == len(head) and row is not head}


def read_csv(path: Path) -> list[list[str]]:
    """Lines without the header."""
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))[1:]


def jobs() -> dict[str, list[list[str]]]:
    """What a program reads without its code, as (file, column)."""
    naive = [[f"id-{number}.csv", "feature"] for number in range(len(IDS))]
    naive += [[file, "credits"] for file in CREDITS]
    naive += [[file, column] for file, columns in TYPES.items() for column in columns]
    return {"naive": naive, "right": []}


def amounts_of_files() -> list[tuple[str, str]]:
    return [(file, column) for file, (_, columns) in (CSV | PARQUET).items() for column in amounts(columns)]


def measured(found: Mapping[str, Mapping[str, str]], folder: Path) -> dict[str, str]:
    """What a program read without its code, as in the table. `found` has type, value and sum by file and column."""
    table = {}
    for number, text in enumerate(IDS):
        one = found[f"id-{number}.csv feature"]
        header = list(CSV["usage.csv"][1])
        (cell, *_) = (line[header.index("feature")] for line in read_csv(folder / f"id-{number}.csv"))
        same = one["type"] in TEXTS and one["value"] == cell
        table[text] = "same" if same else f"{one['type']} {one['value']}"
    for file, label in CREDITS.items():
        table[label] = found[f"{file} credits"]["sum"]
    for file, columns in TYPES.items():
        for column in columns:
            kind = found[f"{file} {column}"]["type"]
            table[column] = "text" if kind in TEXTS else kind
    return table
