#!/usr/bin/env bash
# pyarrow 26.0.1: ParquetWriter as a context manager writes the footer also if its block fails, so a part of the data is a valid file.
# Expected: a file whose writing failed has no footer, and readers refuse it.
# Seen: `with ParquetWriter(...)` closes the file on the way of the error; read_table returns the first rows without a warning.
# In FlexCredits: query_api/exports/formats/parquet.py closes the file only at its end, and the response breaks off;
# tests/query_api/exports/test_parquet.py reads a file without its end.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
"$work/venv/bin/python" - <<'PY'
import io

import pyarrow as pa
import pyarrow.parquet as pq

table, file = pa.table({"credits": [1, 2]}), io.BytesIO()
try:
    with pq.ParquetWriter(file, table.schema) as writer:
        writer.write_table(table)
        raise ConnectionError("the database went away before the next rows")
except ConnectionError as error:
    print(f"pyarrow {pa.__version__}: writing failed: {error}")
rows = pq.read_table(io.BytesIO(file.getvalue())).num_rows
print(f"reading the file: {rows} rows, no error")
assert rows == 2
PY
