#!/usr/bin/env bash
# agno 3.1.10, models xAI and DeepSeek: it reads both as OpenAI. xAI's completion_tokens exclude reasoning, and DeepSeek names cached tokens otherwise.
# Expected: output_tokens 96 from xAI, whose total_tokens is prompt + completion + reasoning (its documentation says so, and langchain-xai 1.3.0
# has 96 for the same answer), and cache_read_tokens 512 from DeepSeek's prompt_cache_hit_tokens, as langchain-deepseek 1.1.1 has.
# Seen: xAI: input 812, output 32, reasoning 64, total 908. DeepSeek: cache_read_tokens 0. Who prices input and output does not charge xAI's
# reasoning, and charges DeepSeek's cached tokens in full. In FlexCredits: usage() of the Python client reads both (tests/python_client/test_providers.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check agno==3.1.10 openai==3.3.0 langchain-xai==1.3.0 langchain-deepseek==1.1.1
cat > "$work/run.py" <<'PY'
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

XAI = {"prompt_tokens": 812, "completion_tokens": 32, "total_tokens": 908, "prompt_tokens_details": {"cached_tokens": 512},
       "completion_tokens_details": {"reasoning_tokens": 64}}
DEEPSEEK = {"prompt_tokens": 812, "completion_tokens": 96, "total_tokens": 908, "prompt_cache_hit_tokens": 512, "prompt_cache_miss_tokens": 300,
            "completion_tokens_details": {"reasoning_tokens": 64}}
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        usage = XAI if "grok" in request["model"] else DEEPSEEK
        body = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": request["model"], "choices": [CHOICE], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

api = HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{api.server_port}/v1"
from agno.agent import Agent
from agno.models.deepseek import DeepSeek
from agno.models.xai import xAI
from langchain_deepseek import ChatDeepSeek
from langchain_xai import ChatXAI

def counts(model):
    metrics = Agent(model=model, telemetry=False).run("Hi").metrics
    return {name: getattr(metrics, name) for name in ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens", "total_tokens")}

xai = counts(xAI(id="grok-4", api_key="key", base_url=url))
deepseek = counts(DeepSeek(id="deepseek-reasoner", api_key="key", base_url=url))
others = [ChatXAI(model="grok-4", api_key="key", base_url=url, max_retries=0).invoke("Hi").usage_metadata,
          ChatDeepSeek(model="deepseek-reasoner", api_key="key", api_base=url, max_retries=0).invoke("Hi").usage_metadata]
print("agno, xAI:     ", xai)
print("agno, DeepSeek:", deepseek)
print("langchain:     ", others)
assert xai == {"input_tokens": 812, "cache_read_tokens": 512, "output_tokens": 32, "reasoning_tokens": 64, "total_tokens": 908}
assert deepseek == {"input_tokens": 812, "cache_read_tokens": 0, "output_tokens": 96, "reasoning_tokens": 64, "total_tokens": 908}
assert (others[0]["output_tokens"], others[1]["input_token_details"]["cache_read"]) == (96, 512)
print("as described: 64 tokens of output and 512 cached tokens are missing")
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
