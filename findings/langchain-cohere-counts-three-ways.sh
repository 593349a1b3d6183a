#!/usr/bin/env bash
# langchain-cohere 0.6.0: one call of Command has three different usages, by the method that the application chose.
# Expected: the same usage_metadata from invoke(), stream() and astream(): Cohere charges billed_units, 12 and 96 tokens.
# Seen: invoke(): 812 and 100, which are `tokens` with Cohere's own prompts; stream(): no usage_metadata on any chunk; astream(): 12 and 96, billed_units.
# An application that meters by usage_metadata charges 800 input tokens too many, nothing, or what Cohere charges.
# In FlexCredits: usage() of the Python client reads billed_units of Cohere's own answers (tests/python_client/test_providers.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check langchain-cohere==0.6.0 cohere==5.21.1 langchain-core==1.8.3
cat > "$work/run.py" <<'PY'
import asyncio, json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

USAGE = {"billed_units": {"input_tokens": 12, "output_tokens": 96}, "tokens": {"input_tokens": 812, "output_tokens": 100}}
MESSAGE = {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
WHOLE = {"id": "1", "finish_reason": "COMPLETE", "message": MESSAGE, "usage": USAGE}
EVENTS = [{"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}},
          {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
          {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hello."}}}},
          {"type": "content-end", "index": 0},
          {"type": "message-end", "id": "1", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}}]

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        stream = json.loads(self.rfile.read(int(self.headers["content-length"]))).get("stream")
        body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS) if stream else json.dumps(WHOLE)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

api = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
from langchain_cohere import ChatCohere

model = ChatCohere(model="command-a-03-2025", cohere_api_key="key", base_url=f"http://127.0.0.1:{api.server_port}")
def usages(chunks):
    return [(chunk.usage_metadata["input_tokens"], chunk.usage_metadata["output_tokens"]) for chunk in chunks if chunk.usage_metadata]

async def read():
    return [chunk async for chunk in model.astream("Hi")]

whole = model.invoke("Hi").usage_metadata
streamed, streamed_async = usages(model.stream("Hi")), usages(asyncio.run(read()))
print("invoke:", (whole["input_tokens"], whole["output_tokens"]), "stream:", streamed, "astream:", streamed_async)
assert (whole["input_tokens"], whole["output_tokens"], streamed, streamed_async) == (812, 100, [], [(12, 96)])
print("as described: three counts of one call")
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
