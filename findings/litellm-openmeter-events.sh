#!/usr/bin/env bash
# LiteLLM 1.110.2's "openmeter" callback, which posts a CloudEvent per model call, sends events that differ from what should be billed:
#  1. litellm.completion(), the synchronous call, sends no event if the callback is set by `success_callback`, although it has a
#     synchronous handler; set by `callbacks` it sends one;
#  2. a cache hit sends a second event with the FIRST call's id, cost 0.0 and the full token counts;
#  3. a model that is not in its price list has "cost": null, not a missing cost and not an error.
# Expected: one event per call, with its own id, and a number as cost. In FlexCredits: a copy of an id is counted once (the
# ledger), and the mapping `litellm-openmeter` counts tokens, not costs, and a cache hit as a duplicate; docs/clients.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.110.2 fastapi orjson soundfile
cat > "$work/run.py" <<'PY'
import asyncio, json, os, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer

events = []

class Meter(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        events.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

meter = HTTPServer(("127.0.0.1", 0), Meter)
threading.Thread(target=meter.serve_forever, daemon=True).start()
os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", OPENMETER_API_KEY="key", OPENMETER_API_ENDPOINT=f"http://127.0.0.1:{meter.server_port}")
import litellm
from litellm.caching.caching import Cache

litellm.cache, litellm.success_callback = Cache(type="local"), ["openmeter"]
ask = dict(messages=[{"role": "user", "content": "hi"}], mock_response="hello", user="user-1")

def wait_for(number, seconds=10.0):
    until = time.monotonic() + seconds
    while len(events) < number and time.monotonic() < until:
        time.sleep(0.05)
    return events

async def main():
    for number, (model, caching) in enumerate([("gpt-4o-mini", True), ("gpt-4o-mini", True), ("openai/in-house-model", False)], 1):
        await litellm.acompletion(model=model, caching=caching, **ask)
        await asyncio.to_thread(wait_for, number)

asyncio.run(main())
first, hit, unknown = events
for event in events:
    print({name: event[name] for name in ("id", "subject", "data")})
assert hit["id"] == first["id"] and hit["data"]["cost"] == 0.0 < first["data"]["cost"]
assert hit["data"]["total_tokens"] == first["data"]["total_tokens"] > 0
assert unknown["data"]["cost"] is None
litellm.completion(model="gpt-4o-mini", **ask)
assert len(wait_for(4, 5.0)) == 3, "the synchronous call sent an event"
litellm.success_callback, litellm.callbacks = [], ["openmeter"]
litellm.completion(model="gpt-4o-mini", **ask)
assert len(wait_for(4)) == 4, "the synchronous call sent no event"
print("as described: nothing from completion() by success_callback, the same id twice with another cost, a null cost")
PY
"$work/venv/bin/python" "$work/run.py" 2>/dev/null
