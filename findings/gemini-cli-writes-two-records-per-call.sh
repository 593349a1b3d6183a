#!/usr/bin/env bash
# Gemini CLI (npm @google/gemini-cli 0.61.0) writes two log records for one model call, and the one by the convention lacks tokens.
# Expected: gen_ai.usage.output_tokens includes the reasoning tokens, as the convention says, and one record per call.
# Seen: gemini_cli.api_response (output 77, thoughts 40, tool use 5) and gen_ai.client.inference.operation.details (output 77; thoughts
# and cached tokens on no attribute). Its counter gemini_cli.token.usage is cumulative, and reports the same a third time.
# A receiver that counts every record with tokens charges twice; by gen_ai.* alone, thoughts are free. In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); api=""; trap '[ -z "$api" ] || kill "$api"; rm -rf "$work"' EXIT
cd "$work"
npm init --yes >/dev/null
npm install --silent --no-fund --no-audit @google/gemini-cli@0.61.0
cat > api.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello."}]}, "finishReason": "STOP", "index": 0}],
          "modelVersion": "gemini-2.5-pro", "responseId": "r1",
          "usageMetadata": {"promptTokenCount": 1000, "cachedContentTokenCount": 900, "candidatesTokenCount": 77,
                            "thoughtsTokenCount": 40, "toolUsePromptTokenCount": 5, "totalTokenCount": 1122}}

class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_POST(self):
        body = b""
        if "content-length" in self.headers:
            body = self.rfile.read(int(self.headers["content-length"]))
        else:  # in chunks
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        kind = self.path.rsplit("/")[-1]
        if kind in ("logs", "metrics"):
            with open(f"{kind}.jsonl", "ab") as file:
                file.write(json.dumps(json.loads(body)).encode() + b"\n")
        stream = "streamGenerateContent" in self.path
        answer = b"data: " + json.dumps(ANSWER).encode() + b"\r\n\r\n" if stream else b"{}"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
with open("port", "w") as file:
    file.write(str(server.server_port))
server.serve_forever()
PY
python3 api.py & api=$!
until [ -s port ]; do sleep 0.1; done
url=http://127.0.0.1:$(cat port)
mkdir -p home/.gemini
echo '{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false}}' > home/.gemini/settings.json
env -i PATH="$PATH" HOME="$work/home" GEMINI_API_KEY=key GOOGLE_GEMINI_BASE_URL="$url" GEMINI_TELEMETRY_ENABLED=true GEMINI_TELEMETRY_TARGET=local \
    GEMINI_TELEMETRY_USE_COLLECTOR=true GEMINI_TELEMETRY_OTLP_ENDPOINT="$url" GEMINI_TELEMETRY_OTLP_PROTOCOL=http \
    node_modules/.bin/gemini --skip-trust -m gemini-2.5-pro -p "Say hello" 2>/dev/null
cat > "$work/check.py" <<'PY'
import json

found = {}
for line in open("logs.jsonl"):
    for group in json.loads(line)["resourceLogs"]:
        for record in (record for scope in group["scopeLogs"] for record in scope["logRecords"]):
            pairs = {pair["key"]: next(iter(pair["value"].values()), None) for pair in record["attributes"]}
            tokens = {name: value for name, value in pairs.items() if "usage" in name or "token_count" in name}
            if tokens:
                found.setdefault(pairs["event.name"], []).append(tokens)
for name, records in found.items():
    print(name, records)
[own], [convention] = found["gemini_cli.api_response"], found["gen_ai.client.inference.operation.details"]
assert (own["output_token_count"], own["thoughts_token_count"], own["tool_token_count"]) == (77, 40, 5)
assert convention == {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 77}
[counter] = [metric for line in open("metrics.jsonl") for group in json.loads(line)["resourceMetrics"] for scope in group["scopeMetrics"]
             for metric in scope["metrics"] if metric["name"] == "gemini_cli.token.usage"][:1]
print("gemini_cli.token.usage aggregationTemporality", counter["sum"]["aggregationTemporality"])
assert counter["sum"]["aggregationTemporality"] == 2
print("as described: two records, thoughts on one of them, a cumulative counter")
PY
python3 "$work/check.py"
