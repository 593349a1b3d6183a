#!/usr/bin/env bash
# autogen-ext 0.7.5 (OpenAIChatCompletionClient): create_stream() ends with a result whose usage is 0 tokens, and total_usage() stays 0.
# Expected: the counts of create(), or None; RequestUsage has no way to say "not known".
# Seen: prompt_tokens 0, completion_tokens 0, because the request does not ask for usage unless include_usage=True is given.
# In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "autogen-ext[openai]==0.7.5" openai==2.54.0
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
import asyncio
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient

HI = [UserMessage(content="Hi", source="user")]

def client():
    return OpenAIChatCompletionClient(model="gpt-4o", base_url=f"{URL}/v1", api_key="key")

async def streamed(**options):
    open_client, last = client(), None
    async for last in open_client.create_stream(HI, **options):
        pass
    assert last.content == "Hello"
    return last.usage, open_client.total_usage()

async def main():
    whole = (await client().create(HI)).usage
    usage, total = await streamed()
    asked, _ = await streamed(include_usage=True)
    for name, found in (("create", whole), ("create_stream", usage), ("total_usage", total), ("with include_usage", asked)):
        print(f"{name}: {found}")
    assert [(found.prompt_tokens, found.completion_tokens) for found in (whole, usage, total, asked)] == [
        (100, 50), (0, 0), (0, 0), (100, 50)]
    print("as described: the stream counts 0 tokens")

asyncio.run(main())
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
