#!/usr/bin/env bash
# opentelemetry-instrumentation-anthropic 0.62.4 (OpenLLMetry) counts one output token too many for every streamed message.
# Anthropic's stream contains the output tokens twice: a first value in message_start and the cumulative total in message_delta.
# Expected: gen_ai.usage.output_tokens = 100, the total. Seen: 101, the sum of both; the metric gen_ai.client.token.usage too.
# The span that the SDK itself (anthropic 2.14.0) emits for the same stream has 100. In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check anthropic==2.14.0 opentelemetry-sdk==1.45.2 \
    opentelemetry-instrumentation-anthropic==0.62.4
cat > "$work/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

def event(kind, **data):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()

MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": None,
           "stop_sequence": None, "content": [], "usage": {"input_tokens": 100, "output_tokens": 1}}
STREAM = (event("message_start", message=MESSAGE)
          + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
          + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello."})
          + event("content_block_stop", index=0)
          + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 100})
          + event("message_stop"))

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(STREAM)))
        self.end_headers()
        self.wfile.write(STREAM)

api = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
AnthropicInstrumentor().instrument()
from anthropic import Anthropic

client = Anthropic(api_key="key", base_url=f"http://127.0.0.1:{api.server_port}")
for _ in client.messages.create(model="claude-sonnet-4-5", max_tokens=100, messages=[{"role": "user", "content": "Hi"}], stream=True):
    pass
found = {span.name: span.attributes.get("gen_ai.usage.output_tokens") for span in spans.get_finished_spans()}
print(found)
assert found == {"anthropic.messages.create": 100, "anthropic.chat": 101}, found
print("as described: 100 output tokens, counted as 101")
PY
"$work/venv/bin/python" "$work/run.py"
