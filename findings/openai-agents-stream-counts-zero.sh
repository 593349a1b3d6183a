#!/usr/bin/env bash
# openai-agents 0.24.0: a streamed run with OpenAIChatCompletionsModel and a client for another base URL has usage of 0 tokens.
# Expected: the counts of the run without streaming, or nothing that looks like a count.
# Seen: requests 1, input_tokens 0, output_tokens 0, because the request does not ask for usage (`stream_options.include_usage`) unless
# ModelSettings(include_usage=True) is given. An application that meters by context_wrapper.usage charges nothing for streams.
# In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check openai-agents==0.24.0 openai==3.57.0
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
import openai
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, set_tracing_disabled

set_tracing_disabled(True)

def agent(**settings):
    client = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="key")
    return Agent(name="agent", model=OpenAIChatCompletionsModel("gpt-5", client), model_settings=ModelSettings(**settings))

async def streamed(agent):
    run = Runner.run_streamed(agent, "Hi")
    async for _ in run.stream_events():
        pass
    assert run.final_output == "Hello"
    return run.context_wrapper.usage

async def main():
    found = [(await Runner.run(agent(), "Hi")).context_wrapper.usage, await streamed(agent()), await streamed(agent(include_usage=True))]
    for name, usage in zip(("whole", "streamed", "streamed with include_usage"), found, strict=True):
        print(f"{name}: requests {usage.requests}, input {usage.input_tokens}, output {usage.output_tokens}")
    assert [(usage.requests, usage.input_tokens, usage.output_tokens) for usage in found] == [(1, 100, 50), (1, 0, 0), (1, 100, 50)]
    print("as described: the streamed run counts 0 tokens")

asyncio.run(main())
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
