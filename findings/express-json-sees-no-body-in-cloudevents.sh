#!/usr/bin/env bash
# express 5.1.0, fastify 5.6.1: a webhook sent as application/cloudevents+json, the content type of CloudEvents' HTTP binding (structured mode).
# Expected: a body whose media type ends in +json (RFC 6839) is parsed as JSON.
# Seen: express.json() leaves request.body undefined without an error, Fastify answers 415 FST_ERR_CTP_INVALID_MEDIA_TYPE. Both parse application/json.
# In FlexCredits: webhooks are application/json unless a channel asks for the other (tests/alerter/test_webhook_libraries.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
npm install --silent --no-audit --no-fund --prefix "$work" express@5.1.0 fastify@5.6.1 > /dev/null
cat > "$work/run.js" <<'JS'
const express = require("express"), fastify = require("fastify"), assert = require("assert")
const event = JSON.stringify({ specversion: "1.0", id: "1", source: "/a", type: "b", data: { used: "1.0" } })
const post = async (port, type) => {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: event, headers: { "content-type": type } })
  return `${answer.status} ${(await answer.text()).slice(0, 60)}`
}
;(async () => {
  const app = express()
  app.use(express.json())
  app.post("/", (request, response) => response.send(request.body === undefined ? "no body" : request.body.type))
  const one = app.listen(0, "127.0.0.1")
  await new Promise((done) => one.once("listening", done))
  const other = fastify()
  other.post("/", async (request) => request.body.type)
  await other.listen({ port: 0, host: "127.0.0.1" })
  const seen = {}
  for (const type of ["application/json", "application/cloudevents+json"]) {
    seen[type] = [await post(one.address().port, type), await post(other.server.address().port, type)]
    console.log(type.padEnd(30), "express:", seen[type][0], " fastify:", seen[type][1])
  }
  one.close()
  await other.close()
  assert.deepStrictEqual(seen["application/json"], ["200 b", "200 b"])
  assert.strictEqual(seen["application/cloudevents+json"][0], "200 no body")
  assert.ok(seen["application/cloudevents+json"][1].startsWith("415"))
  console.log("as described: neither parses it as JSON")
})()
JS
node "$work/run.js"
