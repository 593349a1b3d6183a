#!/usr/bin/env bash
# polars 2.1.0: a product of decimals has the larger number of decimal places of its operands, and is rounded to it; in SQL it has the sum.
# Expected: a price and a quantity with six decimal places make a cost with twelve, as in Postgres, DuckDB, pyarrow and Python; FOCUS requires that
# unit price * quantity is the cost.
# Seen: 0.000003 * 0.000001 is 0.000000 by `*`, and 0.000000000003 by SQLContext of the same version. No error: rounding is not an overflow.
# In FlexCredits: costs are in the files with up to twelve places; docs/files.md says to cast both operands to Decimal(38, 12) first.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 pyarrow==26.0.1 duckdb==2.0.1
"$work/venv/bin/python" - <<'PY'
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

price, quantity, cost = Decimal("0.000003"), Decimal("0.000001"), Decimal("0.000000000003")
kind = pl.Decimal(19, 6)
lines = pl.DataFrame({"price": [price], "quantity": [quantity]}, schema={"price": kind, "quantity": kind})
by_expression = lines.select(cost=pl.col("price") * pl.col("quantity"))["cost"]
by_sql = pl.SQLContext(lines=lines).execute("SELECT price * quantity AS cost FROM lines", eager=True)["cost"]
wide = pl.Decimal(38, 12)
by_cast = lines.select(cost=pl.col("price").cast(wide) * pl.col("quantity").cast(wide))["cost"]
arrow = pc.multiply(pa.array([price], pa.decimal128(19, 6)), pa.array([quantity], pa.decimal128(18, 6)))
duck = duckdb.query(f"SELECT {price}::DECIMAL(19, 6) * {quantity}::DECIMAL(19, 6)").fetchall()[0][0]
print(f"polars {pl.__version__}: expression {by_expression[0]} {by_expression.dtype}, SQL {by_sql[0]} {by_sql.dtype}, cast {by_cast[0]}; "
      f"pyarrow {arrow[0]}, DuckDB {duck}")
assert (by_expression[0], by_expression.dtype) == (0, pl.Decimal(38, 6))
assert by_cast[0] == arrow[0].as_py() == duck == cost
assert by_sql[0] == cost
PY
