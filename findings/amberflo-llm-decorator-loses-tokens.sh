#!/usr/bin/env bash
# amberflo-metering-python 3.3.1, decorator meter_llm, which makes usage events of answers: input_tokens has another meaning for each provider, and
# some answers make no event.
# Expected: one meaning of the meter input_tokens, and an error or a warning for an answer that cannot be metered.
# Seen: the same prompt of 1,050 tokens, 900 of them cached: 1,050 for OpenAI and 50 for Anthropic, whose cached and written tokens are on no event;
# nothing, without a warning, for streams, OpenAI's Responses API and google-genai (it reads `usageMetadata`, which Google's SDK names usage_metadata).
# A call without the keyword argument customer_id is usage of a customer for tests. In FlexCredits: usage() of the Python client requires an
# organization, and reads all of them (tests/python_client/test_providers.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check amberflo-metering-python==3.3.1 openai==3.57.0 anthropic==2.14.0 google-genai==3.6.1
cat > "$work/run.py" <<'PY'
import json, logging, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

CHAT = {"id": "1", "object": "chat.completion", "created": 1, "model": "gpt-5",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
        "usage": {"prompt_tokens": 1050, "completion_tokens": 100, "total_tokens": 1150, "prompt_tokens_details": {"cached_tokens": 900}}}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5", "output": [], "status": "completed", "tools": [],
            "usage": {"input_tokens": 1050, "input_tokens_details": {"cached_tokens": 900}, "output_tokens": 100,
                      "output_tokens_details": {"reasoning_tokens": 40}, "total_tokens": 1150}}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
           "stop_sequence": None, "content": [{"type": "text", "text": "Hello."}],
           "usage": {"input_tokens": 50, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 100, "output_tokens": 100}}
GEMINI = {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hello."}]}, "finishReason": "STOP"}],
          "usageMetadata": {"promptTokenCount": 1050, "cachedContentTokenCount": 900, "candidatesTokenCount": 60, "thoughtsTokenCount": 40,
                            "totalTokenCount": 1150}, "modelVersion": "gemini-2.5-pro", "responseId": "r1"}
CHUNKS = [{"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5",
           "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]},
          {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5", "choices": [], "usage": CHAT["usage"]}]

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0]
        whole = MESSAGE if path.endswith("/messages") else RESPONSE if path.endswith("/responses") else GEMINI if "gemini" in path else CHAT
        stream = request.get("stream")
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS) + "data: [DONE]\n\n" if stream else json.dumps(whole)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

api = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{api.server_port}"
from anthropic import Anthropic
from google import genai
from metering.llms import meter_llm
from openai import OpenAI

events, warnings = [], []

class Metering:
    """Stands for the client of the package: keeps what it would send."""
    def send(self, event): events.append(event)

class Warnings(logging.Handler):
    def emit(self, record): warnings.append(record.getMessage())

logging.getLogger("metering").addHandler(Warnings(logging.WARNING))
openai, claude = OpenAI(api_key="key", base_url=f"{url}/v1"), Anthropic(api_key="key", base_url=url)
gemini = genai.Client(api_key="key", http_options={"base_url": url})
hello = [{"role": "user", "content": "Hi"}]
calls = {"OpenAI chat": lambda: openai.chat.completions.create(model="gpt-5", messages=hello),
         "OpenAI chat, streamed": lambda: openai.chat.completions.create(model="gpt-5", messages=hello, stream=True,
                                                                         stream_options={"include_usage": True}),
         "OpenAI responses": lambda: openai.responses.create(model="gpt-5", input="Hi"),
         "Anthropic": lambda: claude.messages.create(model="claude-sonnet-4-5", max_tokens=100, messages=hello),
         "google-genai": lambda: gemini.models.generate_content(model="gemini-2.5-pro", contents="Hi")}
seen = {}
for name, call in calls.items():
    events.clear()
    answer = meter_llm(metering_client=Metering())(lambda customer: call())("org_demo")
    if "streamed" in name:
        assert list(answer)[-1].usage.prompt_tokens == 1050
    assert {event["customerId"] for event in events} <= {"test_" + "customer"}
    seen[name] = {event["meterApiName"]: event["meterValue"] for event in events}
    print(f"{name}: {seen[name]}")
print("warnings:", warnings)
assert seen == {"OpenAI chat": {"input_tokens": 1050, "output_tokens": 100}, "OpenAI chat, streamed": {}, "OpenAI responses": {},
                "Anthropic": {"input_tokens": 50, "output_tokens": 100}, "google-genai": {}}
assert not warnings
print("as described: 1,000 tokens of one provider and three kinds of answers are missing")
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
