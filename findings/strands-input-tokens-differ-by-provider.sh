#!/usr/bin/env bash
# strands-agents 1.62.0: `inputTokens` of the accumulated usage includes cached tokens for OpenAI, and excludes them for Anthropic.
# Expected: one meaning of the field in one library; or that inputTokens + outputTokens is totalTokens, as the names say.
# Seen: OpenAI: inputTokens 100 with cacheReadInputTokens 80 inside. Anthropic: inputTokens 20 with 50 read and 30 written beside it, and
# totalTokens 110. Who prices all agents by one formula charges the cached tokens of one provider twice, or of the other not at all.
# In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "strands-agents[openai,anthropic]==1.62.0" anthropic==0.125.0 openai==2.54.0
cat > "$work/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "prompt_tokens_details": {"cached_tokens": 80},
         "completion_tokens_details": {"reasoning_tokens": 40}}
BASE = {"id": "chatcmpl-1", "created": 1, "model": "gpt-5"}

def openai_answer(request):
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

CLAUDE = {"input_tokens": 20, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 50, "output_tokens": 10,
         "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 0}}
CLAUDE_MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-1", "stop_reason": "end_turn",
           "stop_sequence": None, "content": [{"type": "text", "text": "Hello."}], "usage": CLAUDE}

def event(kind, **data):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()

def anthropic_answer(request):
    if not request.get("stream"):
        return json.dumps(CLAUDE_MESSAGE).encode(), "application/json"
    last = {name: CLAUDE[name] for name in CLAUDE if name != "cache_creation"}
    return (event("message_start", message=CLAUDE_MESSAGE | {"content": [], "stop_reason": None, "usage": CLAUDE | {"output_tokens": 1}})
            + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello."})
            + event("content_block_stop", index=0)
            + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=last)
            + event("message_stop")), "text/event-stream"

def answer(path, request):
    return anthropic_answer(request) if path.endswith("/messages") else openai_answer(request)

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
from strands import Agent
from strands.models.anthropic import AnthropicModel
from strands.models.openai import OpenAIModel

def usage(model):
    return Agent(model=model, callback_handler=None)("Hi").metrics.accumulated_usage

openai_usage = usage(OpenAIModel(client_args={"base_url": f"{URL}/v1", "api_key": "key"}, model_id="gpt-5"))
claude_usage = usage(AnthropicModel(client_args={"base_url": URL, "api_key": "key"}, model_id="claude-opus-4-1", max_tokens=100))
print("OpenAI:   ", openai_usage)
print("Anthropic:", claude_usage)
assert openai_usage == {"inputTokens": 100, "outputTokens": 50, "totalTokens": 150, "cacheReadInputTokens": 80}
assert claude_usage == {"inputTokens": 20, "outputTokens": 10, "totalTokens": 110, "cacheReadInputTokens": 50, "cacheWriteInputTokens": 30}
print("as described: inputTokens includes cached tokens for one provider only")
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
