#!/usr/bin/env bash
# cloudevents 10.0.0 for JavaScript: an event that is only read and written again has another `time`. It is rewritten to UTC with
# milliseconds; microseconds and the offset are gone.
# Expected: a gateway that passes events on does not change them: CloudEvents 1.0 says that intermediaries forward attributes.
# Whoever compares the copy that came directly with the one that came through the gateway sees two different events of one id.
# In FlexCredits: times that agree when cut to milliseconds are copies (tests/schemas, `./flexcredits test --clients`).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund cloudevents@10.0.0
cat > run.cjs <<'JS'
const { HTTP } = require("cloudevents");
const sent = { specversion: "1.0", id: "1", source: "/a", type: "t", time: "2026-11-29T12:00:00.123987+02:00", data: { n: 1 } };
const read = HTTP.toEvent({ headers: { "content-type": "application/cloudevents+json" }, body: JSON.stringify(sent) });
const written = { structured: JSON.parse(HTTP.structured(read).body).time, binary: HTTP.binary(read).headers["ce-time"] };
console.log("cloudevents", require("cloudevents/package.json").version, "sent:", sent.time, "written again:", written);
for (const time of Object.values(written)) if (time !== "2026-11-29T10:00:00.123Z") throw new Error(time);
console.log("as described: time is cut to milliseconds");
JS
node run.cjs
