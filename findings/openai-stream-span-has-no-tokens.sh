#!/usr/bin/env bash
# A streamed OpenAI chat completion creates a span without token counts unless the caller sets include_usage.
# Expected of instrumentations that report token usage: they request it, estimate it, or mark the span as incomplete.
# Seen with opentelemetry-instrumentation-openai 0.62.4 and openinference-instrumentation-openai 0.1.66 (openai 3.57.0): the
# request is sent without stream_options, and the span has no token attribute: the call appears to be free.
# A meter that reads spans must hold and report such a span, never count it as zero. In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check openai==3.57.0 opentelemetry-sdk==1.45.2 \
    opentelemetry-instrumentation-openai==0.62.4 openinference-instrumentation-openai==0.1.66
cat > "$work/run.py" <<'PY'
import json, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

asked = []

def chunk(delta, reason=None):
    return b"data: " + json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}).encode() + b"\n\n"

STREAM = chunk({"role": "assistant", "content": "Hello."}) + chunk({}, "stop") + b"data: [DONE]\n\n"

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))).get("stream_options"))
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
if sys.argv[1] == "openllmetry":
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
else:
    from openinference.instrumentation.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument()
from openai import OpenAI

client = OpenAI(api_key="key", base_url=f"http://127.0.0.1:{api.server_port}/v1")
for _ in client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}], stream=True):
    pass
[span] = spans.get_finished_spans()
tokens = {k: v for k, v in span.attributes.items() if "token" in k or "usage" in k}
print(sys.argv[1], span.name, span.status.status_code.name, "stream_options", asked, "tokens", tokens)
assert asked == [None] and not tokens
PY
for package in openllmetry openinference; do "$work/venv/bin/python" "$work/run.py" "$package"; done
echo "as described: the spans of streamed calls have no tokens"
