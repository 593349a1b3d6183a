#!/usr/bin/env bash
# litellm 1.110.2: a stream without usage gets token counts that LiteLLM estimated from the text, and prices as if they were measured.
# Expected: no usage, or a flag "estimated". Seen: stream_chunk_builder() returns a Usage of the same shape, and
# completion_cost() a price, where the server counted 1,000 and 100 tokens (which it reports only with include_usage).
# A meter cannot distinguish such numbers from measured ones. In FlexCredits: docs/compatibility.md (LiteLLM).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.110.2
cat > "$work/run.py" <<'PY'
import json, os, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}

def chunk(delta, reason=None, usage=None):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini", "choices": choices}
    return b"data: " + json.dumps(body | ({"usage": usage} if usage else {})).encode() + b"\n\n"

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"]))).get("stream_options") or {}
        body = chunk({"role": "assistant", "content": "Hello."}) + chunk({}, "stop")
        body += (chunk(None, usage=USAGE) if asked.get("include_usage") else b"") + b"data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

api = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

def call(**options):
    chunks = litellm.completion(model="openai/gpt-4o-mini", api_base=f"http://127.0.0.1:{api.server_port}/v1", api_key="key",
                                messages=[{"role": "user", "content": "Hi"}], stream=True, **options)
    whole = litellm.stream_chunk_builder(list(chunks))
    return whole.usage.prompt_tokens, whole.usage.completion_tokens, litellm.completion_cost(whole)

measured, estimated = call(stream_options={"include_usage": True}), call()
print("with include_usage:", measured)
print("without:           ", estimated)
assert measured[:2] == (1000, 100)
assert 0 < estimated[0] < 50 and 0 < estimated[1] < 50 and estimated[2] > 0
print("as described: an estimate, priced and not marked")
PY
"$work/venv/bin/python" "$work/run.py" 2>/dev/null
