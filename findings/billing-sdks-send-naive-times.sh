#!/usr/bin/env bash
# Usage events by the Python SDKs of Metronome (metronome-sdk 4.12.0) and Orb (orb-billing 4.90.0): a datetime without a zone,
# which datetime.now() and utcnow() give and both SDKs' types accept, is sent unchanged: "2026-11-29T01:02:03.456789".
# Expected: an error, as cloudevents 2.x raises, or a time with an offset; RFC 3339, which both APIs name, requires one. The
# server has to guess the zone, so usage near midnight may count on another day or in another month. Both also refuse Decimal with a bare TypeError.
# In FlexCredits: a time without offset is refused with the pointer /time (tests/ingest).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check metronome-sdk==4.12.0 orb-billing==4.90.0
cat > "$work/run.py" <<'PY'
import json, threading
from datetime import datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer

bodies = []

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

api = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{api.server_port}"
from metronome import Metronome
from orb import Orb

metronome, orb = Metronome(bearer_token="key", base_url=url), Orb(api_key="key", base_url=url)

def send(amount):
    naive = datetime(2026, 11, 29, 1, 2, 3, 456789)
    yield lambda: metronome.v1.usage.ingest(usage=[{"transaction_id": "1", "customer_id": "c", "event_type": "tokens",
                                                    "timestamp": naive, "properties": {"tokens": amount}}])
    yield lambda: orb.events.ingest(events=[{"idempotency_key": "1", "external_customer_id": "c", "event_name": "tokens",
                                             "timestamp": naive, "properties": {"tokens": amount}}])

for call in send(1):
    call()
times = [bodies[0][0]["timestamp"], bodies[1]["events"][0]["timestamp"]]
print("sent:", times)
assert times == ["2026-11-29T01:02:03.456789"] * 2, times
for call in send(Decimal("1.10")):
    try:
        call()
        raise SystemExit("Decimal was taken")
    except TypeError as error:
        print("Decimal:", error)
print("as described: times without an offset are sent")
PY
"$work/venv/bin/python" "$work/run.py"
