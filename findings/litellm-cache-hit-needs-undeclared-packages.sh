#!/usr/bin/env bash
# litellm 1.110.2 with its in-memory cache: the first call works, the second, which is a cache hit, raises.
# Expected: litellm.cache = Cache(type="local") needs only litellm, as the first call (a cache miss) does.
# Seen: ModuleNotFoundError for fastapi, then for soundfile: the cache hit imports the proxy's pass-through logging, whose packages
# belong to the extra litellm[proxy] or to no extra. The model answers, the caller sees an error, and no usage event is emitted for
# it. In FlexCredits: docs/compatibility.md (LiteLLM).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.110.2
cat > "$work/run.py" <<'PY'
import asyncio, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
from litellm.caching.caching import Cache

litellm.cache = Cache(type="local")
ask = dict(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}], mock_response="hello", caching=True)

async def main():
    print("first call:", (await litellm.acompletion(**ask)).choices[0].message.content)
    await asyncio.sleep(1)
    try:
        await litellm.acompletion(**ask)
    except ModuleNotFoundError as error:
        print("second call:", type(error).__name__, error)
        assert error.name == sys.argv[1], error
    else:
        raise SystemExit("the cache hit worked")

asyncio.run(main())
PY
"$work/venv/bin/python" "$work/run.py" fastapi 2>/dev/null
"$work/venv/bin/pip" install --quiet --disable-pip-version-check fastapi orjson
"$work/venv/bin/python" "$work/run.py" soundfile 2>/dev/null
echo "as described: a cache hit needs packages that litellm does not require"
