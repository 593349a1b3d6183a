#!/usr/bin/env bash
# cloudevents 10.0.0 for JavaScript: an event that is parsed and serialized again has another `time`: UTC with
# milliseconds, without microseconds and offset.
# Expected: a gateway forwards events unchanged: CloudEvents 1.0 says that intermediaries forward attributes.
# A receiver that gets one copy directly and one through the gateway sees two different events with one id.
# In FlexCredits: events whose times are equal in milliseconds are copies (tests/schemas, `./flexcredits test --clients`).
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
