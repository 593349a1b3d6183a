#!/usr/bin/env bash
# opentelemetry-instrumentation-openai-v2 2.4b0, OpenTelemetry's own instrumentation of OpenAI, installs and cannot be imported.
# Expected: packages that pip resolves without an error can be imported. Seen, with the newest packages of November 2026:
#  1. it imports httpx, which neither it nor openai 3.57.0 (which moved to httpx2) declares;
#  2. with httpx installed, it imports opentelemetry.util.genai.instruments, which util-genai 1.3b0 does not have.
# So an application may list the instrumentation in its requirements and emit no gen_ai spans. In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check openai==3.57.0 opentelemetry-instrumentation-openai-v2==2.4b0 \
    opentelemetry-util-genai==1.3b0
"$work/venv/bin/pip" check || true
try() { "$work/venv/bin/python" -c 'import opentelemetry.instrumentation.openai_v2' 2>&1 | tail -1 || true; }
first=$(try); echo "$first"
[ "$first" = "ModuleNotFoundError: No module named 'httpx'" ]
"$work/venv/bin/pip" install --quiet --disable-pip-version-check httpx==0.28.1
second=$(try); echo "$second"
[ "$second" = "ModuleNotFoundError: No module named 'opentelemetry.util.genai.instruments'" ]
echo "as described: it installs and does not import"
