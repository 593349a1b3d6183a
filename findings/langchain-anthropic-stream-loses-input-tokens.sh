#!/usr/bin/env bash
# langchain-anthropic 1.7.10: usage_metadata of a streamed message has input_tokens 0 when the stream has them only in message_start,
# as the examples of Anthropic's streaming documentation do (message_delta carries the cumulative output_tokens).
# Expected: the same counts as for the message without streaming (1,050 input tokens, 900 of them read from the cache).
# Seen: input_tokens 0, no cache details, total 100. An application that meters by usage_metadata does not charge the input.
# In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check langchain-anthropic==1.7.10 anthropic==2.14.0
cat > "$work/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

USAGE = {"input_tokens": 100, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 50, "output_tokens": 100}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
           "stop_sequence": None, "content": [{"type": "text", "text": "Hello."}], "usage": USAGE}

def event(kind, **data):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()

STREAM = (event("message_start", message=MESSAGE | {"content": [], "stop_reason": None, "usage": USAGE | {"output_tokens": 1}})
          + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
          + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello."})
          + event("content_block_stop", index=0)
          + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 100})
          + event("message_stop"))

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        stream = json.loads(self.rfile.read(int(self.headers["content-length"]))).get("stream")
        body = STREAM if stream else json.dumps(MESSAGE).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

api = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
from langchain_anthropic import ChatAnthropic

model = ChatAnthropic(model="claude-sonnet-4-5", api_key="key", base_url=f"http://127.0.0.1:{api.server_port}")
whole = model.invoke("Hi").usage_metadata
streamed = None
for chunk in model.stream("Hi"):
    streamed = chunk if streamed is None else streamed + chunk
print("whole:   ", whole)
print("streamed:", streamed.usage_metadata)
assert (whole["input_tokens"], whole["output_tokens"]) == (1050, 100)
assert (streamed.usage_metadata["input_tokens"], streamed.usage_metadata["output_tokens"]) == (0, 100)
print("as described: the streamed message has no input tokens")
PY
"$work/venv/bin/python" "$work/run.py"
