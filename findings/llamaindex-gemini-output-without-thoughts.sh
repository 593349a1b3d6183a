#!/usr/bin/env bash
# llama-index-llms-google-genai 0.11.3: completion_tokens of an answer leaves out the tokens of thoughts, which Gemini bills as output.
# Expected: prompt + completion = total, as for the other providers of the library and its own total_tokens.
# Seen: prompt_tokens 100, completion_tokens 10, total_tokens 200 for 90 thought tokens; TokenCountingHandler counts 10 too.
# In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check llama-index-core==0.14.25 llama-index-llms-google-genai==0.11.3 google-genai==2.34.0
cat > "$work/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

FIRST = {"promptTokenCount": 100, "cachedContentTokenCount": 80, "thoughtsTokenCount": 90, "candidatesTokenCount": 4, "totalTokenCount": 194}
USAGE = FIRST | {"candidatesTokenCount": 10, "totalTokenCount": 200}

def content(text, usage, **more):
    candidate = {"index": 0, "content": {"role": "model", "parts": [{"text": text}]}} | more
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-pro", "responseId": "r1"}

def answer(path, request):
    """As the Gemini API: each part of a stream has the usage until then."""
    if ":stream" not in path:
        return json.dumps(content("Hello.", USAGE, finishReason="STOP")).encode(), "application/json"
    parts = [content("Hel", FIRST), content("lo.", USAGE, finishReason="STOP")]
    return "".join(f"data: {json.dumps(part)}\n\n" for part in parts).encode(), "text/event-stream"

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
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import ChatMessage
from llama_index.llms.google_genai import GoogleGenAI

counter = TokenCountingHandler(tokenizer=str.split)
model = GoogleGenAI(model="gemini-2.5-pro", api_key="key", http_options={"base_url": URL}, context_window=100_000, max_tokens=100,
                    callback_manager=CallbackManager([counter]))
usage = model.chat([ChatMessage(role="user", content="Hi")]).additional_kwargs
found = usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]
print("prompt, completion, total:", found, "| counted:", counter.prompt_llm_token_count, counter.completion_llm_token_count)
assert found == (100, 10, 200)
assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (100, 10)
print("as described: 90 tokens of output are missing")
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
