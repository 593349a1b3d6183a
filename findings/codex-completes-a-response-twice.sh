#!/usr/bin/env bash
# Codex (npm @openai/codex 0.171.0) logs the end of one response twice, and names the total of the tokens tool_token_count.
# Expected: one record per completed response, and an attribute for tokens of tools that is 0 without tools.
# Seen: two codex.sse_event records with event.kind response.completed: one without tokens, one with input_token_count "1000" as text,
# cached_token_count 900 as a number, and tool_token_count "1120", which is input + output. LogRecord.event_name is a source line.
# A receiver that counts records of that kind finds half of them without tokens. In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); api=""; trap '[ -z "$api" ] || kill "$api"; rm -rf "$work"' EXIT
cd "$work"
npm init --yes >/dev/null
npm install --silent --no-fund --no-audit @openai/codex@0.171.0
cat > api.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def event(kind, **data):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()

USAGE = {"input_tokens": 1000, "input_tokens_details": {"cached_tokens": 900}, "output_tokens": 120,
         "output_tokens_details": {"reasoning_tokens": 40}, "total_tokens": 1120}
ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5", "status": "completed", "output": [ITEM], "usage": USAGE}
STREAM = (event("response.created", response={**RESPONSE, "status": "in_progress", "output": [], "usage": None})
          + event("response.output_item.done", output_index=0, item=ITEM) + event("response.completed", response=RESPONSE))

class Api(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self): self.answer(b"{}", "application/json")
    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/logs":
            with open("logs.jsonl", "ab") as file:
                file.write(json.dumps(json.loads(body)).encode() + b"\n")
        stream = self.path == "/v1/responses"
        self.answer(STREAM if stream else b"{}", "text/event-stream" if stream else "application/json")

server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
with open("port", "w") as file:
    file.write(str(server.server_port))
server.serve_forever()
PY
python3 api.py & api=$!
until [ -s port ]; do sleep 0.1; done
url=http://127.0.0.1:$(cat port)
mkdir -p home/.codex
cat > "$work/home/.codex/config.toml" <<TOML
model = "gpt-5"
model_provider = "stub"
[model_providers.stub]
name = "stub"
base_url = "$url/v1"
env_key = "STUB_KEY"
wire_api = "responses"
[otel]
exporter = { otlp-http = { endpoint = "$url/v1/logs", protocol = "json" } }
TOML
env -i PATH="$PATH" HOME="$work/home" STUB_KEY=key node_modules/.bin/codex exec --skip-git-repo-check "Say hello" 2>/dev/null </dev/null
cat > "$work/check.py" <<'PY'
import json

found, names = [], set()
for line in open("logs.jsonl"):
    for group in json.loads(line)["resourceLogs"]:
        for record in (record for scope in group["scopeLogs"] for record in scope["logRecords"]):
            pairs = {pair["key"]: pair["value"] for pair in record["attributes"]}
            if pairs.get("event.kind") == {"stringValue": "response.completed"}:
                found.append({name: value for name, value in pairs.items() if "token_count" in name})
                names.add(record["eventName"])
for tokens in found:
    print("response.completed", tokens)
print(names)
without, tokens = sorted(found, key=len)
assert without == {}
assert tokens["input_token_count"] == {"stringValue": "1000"}
assert tokens["tool_token_count"] == {"stringValue": "1120"}
assert list(tokens["cached_token_count"]) == ["intValue"]
assert all(name.startswith("event otel/src/") for name in names)
print("as described: one response, two records, one of them without tokens")
PY
python3 "$work/check.py"
