#!/usr/bin/env bash
# pandas 3.1.1 (pyarrow 26.0.1): read_csv with dtype decimal128 fails, and with engine="pyarrow" goes through float.
# Expected: 3000000999999.999999 as decimal128(19, 6) is 3000000999999.999999: pyarrow.csv reads it so with the same type.
# Seen: engine="pyarrow" returns a decimal128 column with 3000001000000.000000, without a warning, because the cells are parsed as double before the
# conversion. The default engine raises ArrowInvalid "Got bytestring of length 8 (expected 16)". Also: the sum of such a column of Parquet, read
# without dtype_backend="pyarrow", has the 28 digits of Python's decimal context.
# In FlexCredits: docs/files.md reads cells as text, and Parquet with dtype_backend="pyarrow"; tests/query_api/consumers/test_libraries.py adds up every
# file that way.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 pyarrow==26.0.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import io
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

amount, kind = Decimal("3000000999999.999999"), pa.decimal128(19, 6)
file = f"feature,credits\r\nsearch,{amount}\r\n".encode()
options = pa.csv.ConvertOptions(column_types={"credits": kind})
arrow = pa.csv.read_csv(io.BytesIO(file), convert_options=options)["credits"][0].as_py()
column = pd.read_csv(io.BytesIO(file), engine="pyarrow", dtype={"credits": pd.ArrowDtype(kind)})["credits"]
try:
    default = pd.read_csv(io.BytesIO(file), dtype={"credits": pd.ArrowDtype(kind)})["credits"][0]
except pa.ArrowInvalid as error:
    default = str(error)
cost = Decimal("12345678901234567890.123456789012")
pa.parquet.write_table(pa.table({"cost": pa.array([cost, cost], pa.decimal128(38, 12))}), "costs.parquet")
sums = [pd.read_parquet("costs.parquet", **how)["cost"].sum() for how in ({}, {"dtype_backend": "pyarrow"})]
print(f"pandas {pd.__version__}: pyarrow.csv {arrow}; engine pyarrow {column[0]} as {column.dtype}; default engine: {default}; sums {sums}")
assert arrow == amount
assert (str(column.dtype), column[0]) == ("decimal128(19, 6)[pyarrow]", Decimal("3000001000000.000000"))
assert default == "Got bytestring of length 8 (expected 16)"
assert sums == [Decimal("24691357802469135780.24691358"), Decimal("24691357802469135780.246913578024")]
PY
