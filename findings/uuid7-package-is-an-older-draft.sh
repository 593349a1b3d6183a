#!/usr/bin/env bash
# uuid7==0.1.0 (PyPI): its ids follow an older draft of UUIDv7: seconds in the first 36 bits, then fractions of a second. They have
# version 7 and the right variant, so they have the format of RFC 9562, whose first 48 bits are milliseconds.
# Expected: the time inside an id is the present. A reader by RFC 9562 finds the year 2203.
# A system that refuses ids of the future, or partitions by the id's day, refuses or misplaces all of them.
# In FlexCredits: days outside 2020 to 2099 are ignored, and such ids are stored in the hash partitions (tests/aggregator/test_ledger_partitions.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uuid7==0.1.0
"$work/venv/bin/python" - <<'PY'
import time
from uuid_extensions import uuid7

made = uuid7()
milliseconds, seconds = made.int >> 80, made.int >> 92
year = 1970 + milliseconds / 1000 / 86400 / 365.2425
print("uuid7==0.1.0:", made, "version", made.version, "year by RFC 9562:", round(year, 1), "seconds in the first 36 bits:", seconds)
assert made.version == 7 and made.variant == "specified in RFC 4122"
assert abs(seconds - time.time()) < 60 and year > 2190
print("as described: not RFC 9562")
PY
