#!/usr/bin/env bash
# google-adk 2.13.0: with StreamingMode.SSE each partial event has the usage until then, and the final event has the whole usage again.
# Expected: usage once per call, on the final event, as without streaming.
# Seen: for one call, three events with usage_metadata; their sum is 594 tokens where the call used 200. A plugin or callback that adds up
# events must leave out those with `partial`.
# In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check google-adk==2.13.0
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
import asyncio
import os

os.environ |= {"GOOGLE_API_KEY": "key", "GOOGLE_GEMINI_BASE_URL": URL}
from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.runners import InMemoryRunner
from google.genai import types

async def totals(config):
    runner = InMemoryRunner(agent=LlmAgent(name="agent", model="gemini-2.5-pro"), app_name="app")
    session = await runner.session_service.create_session(app_name="app", user_id="user")
    hi = types.Content(role="user", parts=[types.Part(text="Hi")])
    events = runner.run_async(user_id="user", session_id=session.id, new_message=hi, run_config=config)
    return [(bool(event.partial), event.usage_metadata.total_token_count) async for event in events if event.usage_metadata]

async def main():
    whole, streamed = await totals(RunConfig()), await totals(RunConfig(streaming_mode=StreamingMode.SSE))
    print("whole:   ", whole)
    print("streamed:", streamed, "sum", sum(total for _, total in streamed))
    assert whole == [(False, 200)]
    assert streamed == [(True, 194), (True, 200), (False, 200)]
    print("as described: the usage of one call is on three events")

asyncio.run(main())
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
