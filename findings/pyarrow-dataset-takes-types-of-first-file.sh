#!/usr/bin/env bash
# pyarrow 26.0.1: a dataset of CSV files takes each column's type from the first file only, so one month with integer costs makes a year unreadable.
# Expected: October with BilledCost `0` and November with `0.5` read as one dataset (read one by one, both are numbers).
# Seen: ArrowInvalid "CSV conversion error to int64: invalid value '0.5'"; in the other order of months the same files are read. With
# six decimal places in each (0.000000, 0.500000) both orders are read. FOCUS exporters that write `0` make such datasets unreadable.
# In FlexCredits: every amount in a file has at least six decimal places (tests/query_api/exports/test_focus_validator.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
cat > "$work/run.py" <<'PY'
import pathlib, sys, tempfile
import pyarrow, pyarrow.dataset

def read(*months):
    folder = pathlib.Path(tempfile.mkdtemp(dir=sys.argv[1]))
    for number, cost in enumerate(months):
        (folder / f"{number}.csv").write_text(f"BilledCost,ServiceName\r\n{cost},Agents\r\n")
    try:
        return pyarrow.dataset.dataset(folder, format="csv").to_table().column("BilledCost").to_pylist()
    except pyarrow.ArrowInvalid as error:
        return f"{error}".splitlines()[0]

print("pyarrow", pyarrow.__version__)
results = {months: read(*months) for months in (("0", "0.5"), ("0.5", "0"), ("0.000000", "0.500000"), ("0.500000", "0.000000"))}
for months, result in results.items():
    print(f"  {' then '.join(months):24} {result}")
assert "int64" in results["0", "0.5"] and "'0.5'" in results["0", "0.5"]
assert results["0.5", "0"] == [0.5, 0.0]
assert results["0.000000", "0.500000"] == [0.0, 0.5] and results["0.500000", "0.000000"] == [0.5, 0.0]
PY
"$work/venv/bin/python" "$work/run.py" "$work"
