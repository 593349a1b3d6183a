#!/usr/bin/env bash
# duckdb 2.0.1: if no cell of the first 20,480 lines of a CSV file is quoted, the quotation marks of later cells become part of the text.
# Expected: "say ""hi""" is read as say "hi" wherever it is, as by Python's csv, pandas and polars; RFC 4180 is the default dialect.
# Seen: the text `"say ""hi"""` with all quotation marks, without a warning. A quoted cell with a comma fails as a line of too many columns. A header in
# quotation marks, one quoted cell among the first lines, `quote='"'` or sample_size=-1 make it right.
# In FlexCredits: the header of CSV files is in quotation marks (docs/decisions/0118-the-header-of-csv-files-is-quoted.md); a file of usage with
# 21,000 lines before its first quoted cell is read in tests/query_api/consumers/test_libraries.py.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import duckdb

def read(header, lines, cell, options=""):
    with open("usage.csv", "w", newline="") as file:
        file.write(header + "\r\n" + "search,1.000000\r\n" * lines + cell + ",1.000000\r\n")
    try:
        rows = duckdb.query(f"SELECT feature FROM read_csv('usage.csv'{options})").fetchall()
    except duckdb.Error as error:
        return type(error).__name__
    (found,) = {row[0] for row in rows} - {"search"}
    return found

plain, quoted, say = "feature,credits", '"feature","credits"', '"say ""hi"""'
print(f"duckdb {duckdb.__version__}")
for name, found, expected in (
    ("after 20,000 lines", read(plain, 20_000, say), 'say "hi"'),
    ("after 20,480 lines", read(plain, 20_480, say), say),
    ("after 20,480 lines, with a comma", read(plain, 20_480, '"a, b"'), "an error"),
    ("the same with a quoted header", read(quoted, 20_480, '"a, b"'), "a, b"),
    ("after 20,480 lines with a quoted header", read(quoted, 20_480, say), 'say "hi"'),
    ("the same with the option quote", read(plain, 20_480, say, ", quote='\"'"), 'say "hi"'),
):
    print(f"  {name}: {found}")
    assert found == expected or (expected == "an error" and found.endswith(("Exception", "Error"))), name
PY
