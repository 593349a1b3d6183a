#!/usr/bin/env bash
# anthropic (Python SDK) 2.14.0 emits its own OpenTelemetry span for every call as soon as a tracer provider is set.
# Expected: only an instrumentation package emits spans, so one model call is one span with token counts.
# Seen: with openinference-instrumentation-anthropic 3.1.0 beside it, one call gives two spans, and both carry the tokens:
#   anthropic.messages.create  gen_ai.usage.input_tokens=1050  gen_ai.usage.output_tokens=100
#   messages.create            llm.token_count.prompt=1050     llm.token_count.completion=100
# A meter that identifies usage by trace id and span id charges such a call twice. In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check anthropic==2.14.0 opentelemetry-sdk==1.45.2 \
    openinference-instrumentation-anthropic==3.1.0
cat > "$work/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
           "stop_sequence": None, "content": [{"type": "text", "text": "Hello."}],
           "usage": {"input_tokens": 100, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 50, "output_tokens": 100}}

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(MESSAGE).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

api = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
from openinference.instrumentation.anthropic import AnthropicInstrumentor
AnthropicInstrumentor().instrument()
from anthropic import Anthropic

Anthropic(api_key="key", base_url=f"http://127.0.0.1:{api.server_port}").messages.create(
    model="claude-sonnet-4-5", max_tokens=100, messages=[{"role": "user", "content": "Hi"}])
found = {span.name: {k: v for k, v in span.attributes.items() if "usage" in k or "token_count" in k} for span in spans.get_finished_spans()}
for name, attributes in found.items():
    print(name, attributes)
assert len(found) == 2, found
assert found["anthropic.messages.create"]["gen_ai.usage.input_tokens"] == 1050
assert found["messages.create"]["llm.token_count.prompt"] == 1050
print("as described: one call, two spans with the same tokens")
PY
"$work/venv/bin/python" "$work/run.py"
