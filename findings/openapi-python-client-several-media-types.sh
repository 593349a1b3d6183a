#!/usr/bin/env bash
# openapi-python-client 0.29.0: an operation whose body may have two media types, one of them a list, becomes a client where every
# call raises "isinstance() argument 2 cannot be a parameterized generic". The generator reports no warning.
# Expected: a client that works, or a warning. OpenAPI describes a media type for each form (CloudEvents has one event and batch).
# In FlexCredits: the description has one media type per operation (tests/ingest/test_generated_clients.py, `test --clients`).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check openapi-python-client==0.29.0 ruff
cd "$work"
cat > api.json <<'JSON'
{"openapi": "3.1.0", "info": {"title": "events", "version": "1"},
 "paths": {"/events": {"post": {"operationId": "post_events", "responses": {"202": {"description": "taken"}},
  "parameters": [{"name": "X-Trace", "in": "header", "schema": {"type": "string"}}], "requestBody": {"required": true, "content": {
   "application/cloudevents+json": {"schema": {"$ref": "#/components/schemas/Event"}},
   "application/cloudevents-batch+json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}}}}}}}},
 "components": {"schemas": {"Event": {"title": "Event", "type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}}}}
JSON
PATH="$work/venv/bin:$PATH" "$work/venv/bin/openapi-python-client" generate --path api.json --meta none --output-path generated
"$work/venv/bin/python" - <<'PY'
from generated import Client
from generated.api.default import post_events
from generated.models import Event

for body in (Event("1"), [Event("1")]):
    try:
        post_events.sync_detailed(client=Client("http://127.0.0.1:9"), body=body)
        raise SystemExit("it called")
    except TypeError as error:
        print(type(body).__name__, "->", error)
print("as described: no call is possible")
PY
