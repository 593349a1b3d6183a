#!/usr/bin/env bash
# llama-index-core 0.14.25: TokenCountingHandler fills the counts of a stream with the lengths of its own tokenizer's lists, unmarked.
# Expected: the provider's counts, as without streaming, or a sign that they are estimates.
# Seen: whole: 100 and 50 as the API says; streamed: what the tokenizer makes of the texts (here words), in the same attributes.
# In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check llama-index-core==0.14.25 llama-index-llms-openai==0.8.3 openai==2.54.0
cat > "$work/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "prompt_tokens_details": {"cached_tokens": 80},
         "completion_tokens_details": {"reasoning_tokens": 40}}
BASE = {"id": "chatcmpl-1", "created": 1, "model": "gpt-5"}

def answer(path, request):
    """As the Chat Completions API: a stream has usage only if `stream_options.include_usage` asks for it."""
    if not request.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        return json.dumps(BASE | {"object": "chat.completion", "choices": [choice], "usage": USAGE}).encode(), "application/json"
    chunks = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}]},
              {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    if (request.get("stream_options") or {}).get("include_usage"):
        chunks.append({"choices": [], "usage": USAGE})
    lines = [f"data: {json.dumps(BASE | {'object': 'chat.completion.chunk'} | chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream"

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
from llama_index.llms.openai import OpenAI

counter = TokenCountingHandler(tokenizer=str.split)
model = OpenAI(model="gpt-4o", api_base=f"{URL}/v1", api_key="key", callback_manager=CallbackManager([counter]))
hi = [ChatMessage(role="user", content="Hi")]
model.chat(hi)
whole = counter.prompt_llm_token_count, counter.completion_llm_token_count
counter.reset_counts()
for _ in model.stream_chat(hi):
    pass
streamed = counter.prompt_llm_token_count, counter.completion_llm_token_count
print("whole:", whole, "| streamed:", streamed)
assert whole == (100, 50)
assert all(0 < count < 10 for count in streamed), streamed
print("as described: the counts of the stream are the tokenizer's")
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
