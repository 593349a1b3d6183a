#!/usr/bin/env bash
# Dodo Payments' @dodopayments/ingestion-blueprints 0.6.1 (npm), its LLM tracker, with ai 6.0.326 (Vercel's AI SDK) and Anthropic's and OpenAI's SDKs.
# Expected: the tokens that the provider charges: 1,000 and 120 (40 of them reasoning) of the AI SDK; 1,050 of Anthropic; an event for a stream.
# Seen: the AI SDK's answer becomes 160 output tokens, because reasoningTokens is added to outputTokens, which includes it: input + output is 1,160 beside a
# total of 1,120. Anthropic's becomes 50 input tokens: 900 cached and 100 written ones are nowhere. A stream of either, passed through the wrapped client, is
# never metered, without an error. In FlexCredits: usage() of the Python client reads these usages (tests/python_client/test_providers.py), and `otlp-genai`
# counts the spans of the AI SDK (tests/schemas/mapping/test_otlp_ready_made.py).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y > /dev/null
npm install --silent --no-audit --no-fund @dodopayments/ingestion-blueprints@0.6.1 ai@6.0.326 @ai-sdk/openai@3.0.141 @anthropic-ai/sdk@1.14.0 openai@6.30.1
cat > run.mjs <<'JS'
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { createLLMTracker } from "@dodopayments/ingestion-blueprints";
import { generateText } from "ai";
import OpenAI from "openai";

const USAGE = { prompt_tokens: 1000, completion_tokens: 120, total_tokens: 1120, completion_tokens_details: { reasoning_tokens: 40 } };
const CHAT = { id: "1", object: "chat.completion", created: 1, model: "gpt-5", usage: USAGE,
  choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "Hello." } }] };
const CHUNKS = [{ id: "1", object: "chat.completion.chunk", created: 1, model: "gpt-5", choices: [{ index: 0, delta: { content: "Hello." }, finish_reason: "stop" }] },
  { id: "1", object: "chat.completion.chunk", created: 1, model: "gpt-5", choices: [], usage: USAGE }];
const MESSAGE = { id: "msg_1", type: "message", role: "assistant", model: "claude-opus-5", stop_reason: "end_turn", stop_sequence: null,
  content: [{ type: "text", text: "Hello." }],
  usage: { input_tokens: 50, cache_read_input_tokens: 900, cache_creation_input_tokens: 100, output_tokens: 100 } };

const events = [];
const server = createServer((request, response) => {
  let text = "";
  request.on("data", (part) => { text += part; });
  request.on("end", () => {
    const body = JSON.parse(text);
    if (request.url.endsWith("/events/ingest")) events.push(...body.events);
    const stream = body.stream === true;
    response.setHeader("content-type", stream ? "text/event-stream" : "application/json");
    if (stream) response.end(CHUNKS.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("") + "data: [DONE]\n\n");
    else response.end(JSON.stringify(request.url.endsWith("/messages") ? MESSAGE : request.url.endsWith("/events/ingest") ? { ingested_count: 1 } : CHAT));
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}`;
const send = globalThis.fetch; // the package always sends to Dodo's own address
globalThis.fetch = (address, options) => send(String(address).replace(/^https:\/\/[a-z]+\.dodopayments\.com/, url), options);

const tracker = createLLMTracker({ apiKey: "key", eventName: "tokens" });
const messages = [{ role: "user", content: "Hi" }];
const counts = async (work) => {
  events.length = 0;
  await work();
  return events.map(({ metadata: { inputTokens, outputTokens, totalTokens } }) => [inputTokens, outputTokens, totalTokens]);
};
const sdk = await counts(async () => {
  const result = await generateText({ model: createOpenAI({ apiKey: "key", baseURL: `${url}/v1` }).chat("gpt-5"), prompt: "Hi" });
  assert.equal(result.usage.outputTokens, 120);
  await tracker.track(result, "cus_1");
});
const claude = await counts(() => tracker.wrap({ client: new Anthropic({ apiKey: "key", baseURL: url }), customerId: "cus_1" })
  .messages.create({ model: "claude-opus-5", max_tokens: 100, messages }));
const openai = tracker.wrap({ client: new OpenAI({ apiKey: "key", baseURL: `${url}/v1` }), customerId: "cus_1" });
const whole = await counts(() => openai.chat.completions.create({ model: "gpt-5", messages }));
const streamed = await counts(async () => {
  const chunks = await openai.chat.completions.create({ model: "gpt-5", messages, stream: true, stream_options: { include_usage: true } });
  let last;
  for await (const chunk of chunks) last = chunk;
  assert.equal(last.usage.completion_tokens, 120);
});
server.close();
server.closeAllConnections();
console.log("input, output, total:", { sdk, claude, whole, streamed });
assert.deepEqual({ sdk, claude, whole, streamed },
  { sdk: [[1000, 160, 1120]], claude: [[50, 100, 150]], whole: [[1000, 120, 1120]], streamed: [] });
console.log("as described: reasoning counts twice, cached tokens and streams not at all");
JS
node run.mjs
