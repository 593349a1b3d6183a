#!/usr/bin/env bash
# msgspec 0.22.0: a date-time with more than six fractional digits is rounded to microseconds, so 23:59:59.9999999 becomes
# the next day, and at the end of a month the next month. Python's own datetime.fromisoformat (3.11 and later) truncates.
# Expected: truncation: an instant before midnight stays before midnight. Clocks of Java, Go and .NET write 7 to 9 digits.
# In FlexCredits: the codec removes such digits before it decodes (tests/schemas, test_times_are_cut_to_microseconds).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0
"$work/venv/bin/python" - <<'PY'
from datetime import datetime
import msgspec

text = "2026-10-31T23:59:59.9999999+00:00"
decoded, own = msgspec.json.decode(f'"{text}"', type=datetime), datetime.fromisoformat(text)
print("msgspec", msgspec.__version__, decoded, "| fromisoformat", own)
assert decoded.month == 11 and own.month == 10
print("as described: rounded into the next month")
PY
