#!/usr/bin/env bash
# LiteLLM 1.110.2 reports an answer from its own cache, for which no provider was called, as a call with the full token counts:
#  1. callback "lago": a NEW transaction_id (a fresh UUID4 in every event, so that nothing is idempotent), response_cost 0.0;
#  2. callback "generic_api": id "<id>_cache_hit<time>", cache_hit true, response_cost 0.0;
#  3. "generic_api" writes response_cost 0.0 also for a model that is not in its price list ("lago" and "openmeter" write null).
# Expected: no tokens for what no provider counted, one id per call, and the same cost of one call in all callbacks.
# In FlexCredits: the ready-made mappings `lago` and `litellm` ignore cache hits (tests/ingest/clients/test_metering_clients.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.110.2 fastapi orjson soundfile 2>&1 | cut -c1-300
cat > "$work/run.py" <<'PY'
import asyncio, json, os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

bodies = []

class Meter(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

meter = HTTPServer(("127.0.0.1", 0), Meter)
threading.Thread(target=meter.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{meter.server_port}"
os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", LAGO_API_BASE=url, LAGO_API_KEY="key", LAGO_API_EVENT_CODE="tokens", GENERIC_LOGGER_ENDPOINT=url)
import litellm
from litellm.caching.caching import Cache
from litellm.integrations.generic_api.generic_api_callback import GenericAPILogger

litellm.cache = Cache(type="local")
ask = dict(messages=[{"role": "user", "content": "hi"}], mock_response="hello", metadata={}, proxy_server_request={"body": {"user": "ada"}})
calls = [("gpt-4o-mini", True), ("gpt-4o-mini", True), ("openai/in-house-model", False)]

async def send(callback):
    litellm.callbacks = [callback]
    events = bodies if isinstance(callback, str) else callback.log_queue
    for number, (model, caching) in enumerate(calls, 1):
        await litellm.acompletion(model=model, caching=caching, **ask)
        while len(events) < number:
            await asyncio.sleep(0.05)

async def main(name):
    if name == "lago":
        await send("lago")
        return [body["event"] for body in bodies]
    logger = GenericAPILogger()
    await send(logger)
    await logger.async_send_batch()
    return bodies[0]

events = asyncio.run(main(sys.argv[1]))
if sys.argv[1] == "lago":
    for event in events:
        print("lago:", event["transaction_id"], event["properties"])
    first, hit, unknown = events
    assert first["transaction_id"] != hit["transaction_id"]
    first, hit, unknown = (event["properties"] for event in events)
else:
    for event in events:
        print("generic_api:", {name: event[name] for name in ("id", "cache_hit", "response_cost", "total_tokens")})
    first, hit, unknown = events
    assert hit["id"].startswith(first["id"] + "_cache_hit") and hit["cache_hit"] is True
assert hit["total_tokens"] == first["total_tokens"] > 0 and hit["response_cost"] == 0.0 < first["response_cost"]
assert unknown["response_cost"] == (None if sys.argv[1] == "lago" else 0.0)
PY
for part in lago generic_api; do timeout 60 "$work/venv/bin/python" -W ignore "$work/run.py" "$part" 2>/dev/null; done
echo "as described: a cache hit has a new id and all tokens; an unknown model costs null in one callback and 0.0 in the other"
