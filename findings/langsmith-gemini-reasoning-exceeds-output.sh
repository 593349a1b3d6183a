#!/usr/bin/env bash
# langsmith 0.15.1, wrap_gemini (usage of google-genai calls, from which LangSmith computes costs): details are larger than their whole, and the tokens of
# long prompts depend on the cache.
# Expected: output_tokens with thoughts, as input + output = total; input_tokens with prompts of tools; over_200k (tokens at the price of long
# prompts) of a prompt of 300,000 tokens, with or without a cache.
# Seen: output_tokens 10 with reasoning 90, total 1,170 of 1,050 + 10. A prompt of 300,000 tokens has no over_200k; with 1 cached token it has 99,999.
# In FlexCredits: usage() of the Python client counts thoughts and prompts of tools (tests/python_client/test_providers.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check langsmith==0.15.1 google-genai==3.6.1
cat > "$work/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

ANSWER = {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hello."}]}, "finishReason": "STOP"}],
          "modelVersion": "gemini-2.5-pro", "responseId": "r1"}
THINKING = {"promptTokenCount": 1050, "toolUsePromptTokenCount": 20, "cachedContentTokenCount": 900, "candidatesTokenCount": 10,
            "thoughtsTokenCount": 90, "totalTokenCount": 1170}
LONG = {"promptTokenCount": 300_000, "candidatesTokenCount": 10, "totalTokenCount": 300_010}

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER | {"usageMetadata": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

api = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{api.server_port}"
from google import genai
from langsmith import Client
from langsmith.run_helpers import tracing_context
from langsmith.wrappers import wrap_gemini

class Runs(Client):
    """Keeps what would be sent to LangSmith."""
    def create_run(self, *_, **__): pass
    def update_run(self, *_, **run): seen.append(run["outputs"]["usage_metadata"])

seen, runs = [], Runs(api_key="key", api_url=url, auto_batch_tracing=False)
gemini = wrap_gemini(genai.Client(api_key="key", http_options={"base_url": url}))
for usage in (THINKING, LONG, LONG | {"cachedContentTokenCount": 1}):
    with tracing_context(enabled=True, client=runs):
        gemini.models.generate_content(model="gemini-2.5-pro", contents="Hi")
    print(seen[-1])
thinking, long, cached = seen
assert (thinking["input_tokens"], thinking["output_tokens"], thinking["total_tokens"]) == (1050, 10, 1170)
assert thinking["output_token_details"]["reasoning"] == 90
assert "over_200k" not in long["input_token_details"]
assert cached["input_token_details"]["over_200k"] == 99_999
print("as described: more reasoning than output, and long prompts only with a cache")
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
