#!/usr/bin/env bash
# langchain-anthropic 1.7.10: tokens written to the cache are `cache_creation` in the usage_metadata of a streamed message, and
# `ephemeral_5m_input_tokens` with `cache_creation` 0 in that of the same message without streaming.
# Expected: the same details for the same usage. The Messages API gives the split by lifetime only in message_start and in whole answers.
# Seen: whole: cache_creation 0, ephemeral_5m_input_tokens 30; streamed: cache_creation 30. Cache writes have a price of their own.
# In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check langchain-anthropic==1.7.10 anthropic==2.14.0
cat > "$work/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

USAGE = {"input_tokens": 20, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 50, "output_tokens": 10,
         "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 0}}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-1", "stop_reason": "end_turn",
           "stop_sequence": None, "content": [{"type": "text", "text": "Hello."}], "usage": USAGE}

def event(kind, **data):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()

def anthropic_answer(request):
    if not request.get("stream"):
        return json.dumps(MESSAGE).encode(), "application/json"
    last = {name: USAGE[name] for name in USAGE if name != "cache_creation"}
    return (event("message_start", message=MESSAGE | {"content": [], "stop_reason": None, "usage": USAGE | {"output_tokens": 1}})
            + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello."})
            + event("content_block_stop", index=0)
            + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=last)
            + event("message_stop")), "text/event-stream"

def answer(path, request):
    return anthropic_answer(request)

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body, kind = answer(self.path, request)
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

api = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{api.server_port}"
from langchain_anthropic import ChatAnthropic

model = ChatAnthropic(model="claude-opus-4-1", api_key="key", base_url=URL)
whole = model.invoke("Hi").usage_metadata
streamed = None
for chunk in model.stream("Hi"):
    streamed = chunk if streamed is None else streamed + chunk
print("whole:   ", whole)
print("streamed:", streamed.usage_metadata)
assert whole["input_tokens"] == streamed.usage_metadata["input_tokens"] == 100
assert whole["input_token_details"]["cache_creation"] == 0
assert whole["input_token_details"]["ephemeral_5m_input_tokens"] == 30
assert streamed.usage_metadata["input_token_details"] == {"cache_creation": 30, "cache_read": 50}
print("as described: the cache write has another name without streaming")
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
