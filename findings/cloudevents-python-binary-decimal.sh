#!/usr/bin/env bash
# cloudevents 1.13.0 for Python: to_binary() of an event whose data holds a Decimal gives the dict itself as the body, without an error.
# to_structured() of the same event raises TypeError. `requests` posts such a body as a form, so the receiver sees
# "feature=jira&credits=1.25" under content type application/json.
# Expected: an error in both modes, or JSON in both.
# In FlexCredits: such a body is answered by 400, "not valid JSON" (tests/ingest/test_ingest_body.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cloudevents==1.13.0
"$work/venv/bin/python" -W ignore::DeprecationWarning - <<'PY'
from decimal import Decimal
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent

event = CloudEvent({"type": "t", "source": "/a", "datacontenttype": "application/json"}, {"feature": "jira", "credits": Decimal("1.25")})
headers, body = to_binary(event)
print("binary:", type(body).__name__, body)
assert body == {"feature": "jira", "credits": Decimal("1.25")}
try:
    to_structured(event)
    raise SystemExit("structured mode took it")
except Exception as error:
    print("structured:", type(error).__name__, error)
print("as described: binary mode returns the dict")
PY
