#!/usr/bin/env bash
# pyarrow 26.0.1: a decimal as text, also in CSV, gets an exponent if it is small.
# Expected: decimal128(38, 12) 0.000000000001 as 0.000000000001, and 0 as 0.000000000000, as Postgres, Python's csv and DuckDB write them.
# Seen: 1E-12 and 0E-12, by compute.cast and by csv.write_csv; with 6 decimal places the amounts have none.
# In FlexCredits: query_api/exports/formats/lines.py formats amounts itself; tests/query_api/exports/test_parquet.py compares the text of
# every file with the decimals.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
"$work/venv/bin/python" - <<'PY'
import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

amounts = [Decimal("0"), Decimal("0.000000000001"), Decimal("1.5")]
column = pa.array(amounts, pa.decimal128(38, 12))
cast = pc.cast(column, pa.string()).to_pylist()
file = io.BytesIO()
pa.csv.write_csv(pa.table({"cost": column}), file)
micro = pc.cast(pa.array([Decimal("0.000001")], pa.decimal128(19, 6)), pa.string()).to_pylist()
print(f"pyarrow {pa.__version__}: cast {cast}, CSV {file.getvalue()!r}, with 6 places {micro}")
assert cast == ["0E-12", "1E-12", "1.500000000000"]
assert file.getvalue() == b'"cost"\n0E-12\n1E-12\n1.500000000000\n'
assert micro == ["0.000001"]
PY
