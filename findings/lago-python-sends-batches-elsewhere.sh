#!/usr/bin/env bash
# lago-python-client 1.55.0 sends events to other addresses than its settings say:
#  1. with use_ingest_service=True and ingest_api_url, events.create() uses that address, and events.batch_create() uses api_url,
#     whose default is Lago's own cloud: events and API key go there;
#  2. an api_url with a path and without a slash at its end loses the last part of the path (urllib.parse.urljoin).
# Expected: one address for both methods, and the path as it was given. In FlexCredits: docs/clients.md ("Lago") says which
# settings to use: api_url alone, with a slash at its end.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check lago-python-client==1.55.0 2>&1 | cut -c1-300
cat > "$work/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from lago_python_client import Client
from lago_python_client.models import BatchEvent, Event

paths = []

class Meter(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        paths.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        event = {**body.get("event", {}), "timestamp": "2026-11-30T00:00:00Z"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"event": event}).encode())

meter = HTTPServer(("127.0.0.1", 0), Meter)
threading.Thread(target=meter.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{meter.server_port}"
event = Event(transaction_id="1", external_subscription_id="s", code="c")
client = Client(api_key="key", api_url=f"{url}/api-url/", use_ingest_service=True, ingest_api_url=f"{url}/ingest-url/")
client.events.create(event)
client.events.batch_create(BatchEvent(events=[event]))
Client(api_key="key", api_url=f"{url}/meter").events.create(event)
print(paths)
assert paths == ["/ingest-url/api/v1/events", "/api-url/api/v1/events/batch", "/api/v1/events"]
assert Client(api_key="key", use_ingest_service=True, ingest_api_url=url).events.base_url.startswith("https://api.getlago.com")
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
echo "as described: batches ignore ingest_api_url, and a path without a slash at its end is lost"
