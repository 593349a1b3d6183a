#!/usr/bin/env bash
# LiteLLM 1.110.2's "generic_api" callback, which posts batches of StandardLoggingPayload, loses calls in four ways:
#  1. litellm.callbacks = ["generic_api"] sends nothing at all unless the package litellm-enterprise is installed: no error, no warning;
#  2. GenericAPILogger() outside of a running event loop, as in a program of synchronous calls, raises RuntimeError;
#  3. a batch that is answered with 429 is dropped, and so is one that is answered with 503 unless max_retries is set (default 0);
#  4. what the queue holds when the event loop ends is not sent.
# Expected: retries of 429 and 503 as HTTP defines them, and an error for a callback that cannot work.
# In FlexCredits: cannot be detected, because nothing arrives. docs/clients.md ("LiteLLM's generic_api") says so and names the settings.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.110.2 fastapi orjson 2>&1 | cut -c1-300
cat > "$work/run.py" <<'PY'
import asyncio, json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer

answers, batches = [], []

class Meter(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        batches.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(answers.pop(0) if answers else 200)
        self.end_headers()

meter = HTTPServer(("127.0.0.1", 0), Meter)
threading.Thread(target=meter.serve_forever, daemon=True).start()
os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", GENERIC_LOGGER_ENDPOINT=f"http://127.0.0.1:{meter.server_port}", DEFAULT_FLUSH_INTERVAL_SECONDS="1")
import litellm
from litellm.integrations.generic_api.generic_api_callback import GenericAPILogger

ask = dict(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}], mock_response="hello")

async def named():
    litellm.callbacks = ["generic_api"]
    await litellm.acompletion(**ask)
    await asyncio.sleep(4)

async def refused():
    logger = GenericAPILogger()
    litellm.callbacks = [logger]
    for status in (429, 503, 200):
        answers[:] = [status]
        await litellm.acompletion(**ask)
        while not logger.log_queue:
            await asyncio.sleep(0.05)
        await logger.async_send_batch()
    litellm.callbacks = [logger]
    await litellm.acompletion(**ask)
    while not logger.log_queue:
        await asyncio.sleep(0.05)

if sys.argv[1] == "named":
    asyncio.run(named())
    assert batches == [], batches
    print("named callback without litellm-enterprise: no request")
else:
    try:
        GenericAPILogger()
        sys.exit("no error without an event loop")
    except RuntimeError as error:
        print("without an event loop:", error)
    asyncio.run(refused())
    time.sleep(3)
    ids = [[payload["id"] for payload in batch] for batch in batches]
    print("requests answered with 429, 503, 200:", ids)
    assert len(ids) == 3 and all(len(batch) == 1 for batch in ids) and len({*map(tuple, ids)}) == 3, "something was sent again"
    print("each call was sent once, refused or not; the fourth call, in the queue at the end, was never sent")
PY
for part in named refused; do "$work/venv/bin/python" -W ignore "$work/run.py" "$part" 2>/dev/null; done
echo "as described: lost without the package, without a loop, after 429 and 503, and at the end"
