#!/usr/bin/env bash
# Vercel's AI SDK (npm "ai" 6.0.326) reports one model call on two spans, and its gen_ai.* attributes omit the cached tokens.
# Expected: gen_ai.usage.* of one span is what to bill, with gen_ai.usage.cache_read.input_tokens for the cached part.
# Seen: ai.generateText and its child ai.generateText.doGenerate both carry ai.usage.inputTokens=1000; gen_ai.usage.input_tokens
# is only on the child, and no gen_ai attribute has the 900 cached tokens: rated by gen_ai.*, they cost full price.
# In FlexCredits: docs/compatibility.md.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
npm init --yes >/dev/null
npm install --silent --no-fund --no-audit ai@6.0.326 @ai-sdk/openai@3.0.141 @opentelemetry/sdk-trace-node@2 @opentelemetry/api@1 zod@4
cat > run.mjs <<'JS'
import assert from "node:assert";
import http from "node:http";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";

const answer = { id: "chatcmpl-1", object: "chat.completion", created: 1, model: "gpt-4o-mini",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello." }, finish_reason: "stop" }],
  usage: { prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100, prompt_tokens_details: { cached_tokens: 900 } } };
const api = http.createServer((request, response) => {
  request.resume().on("end", () => response.setHeader("content-type", "application/json").end(JSON.stringify(answer)));
});
await new Promise((ready) => api.listen(0, "127.0.0.1", ready));
const spans = new InMemorySpanExporter();
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }).register();
const openai = createOpenAI({ apiKey: "key", baseURL: `http://127.0.0.1:${api.address().port}/v1` });
await generateText({ model: openai.chat("gpt-4o-mini"), prompt: "Hi", experimental_telemetry: { isEnabled: true } });
const found = Object.fromEntries(spans.getFinishedSpans().map((span) => [span.name,
  Object.fromEntries(Object.entries(span.attributes).filter(([name]) => /^(ai|gen_ai)\.usage\.(input|cache|output)/.test(name)))]));
console.log(found);
const parent = found["ai.generateText"], child = found["ai.generateText.doGenerate"];
assert.equal(parent["ai.usage.inputTokens"], 1000);
assert.equal(child["ai.usage.inputTokens"], 1000);
assert.equal(child["gen_ai.usage.input_tokens"], 1000);
assert.ok(!Object.keys({ ...parent, ...child }).some((name) => name.startsWith("gen_ai.usage.cache")));
console.log("as described: usage on two spans, cached tokens on no gen_ai attribute");
process.exit(0);
JS
node run.mjs
