import { expect, test } from "vitest"
import { protocolsOf, settingsOf } from "./protocols"
import { linesOf, outcomeOf, quoted, wordsOf } from "./words"

test("a place in a mapping is named as people count", () => {
  expect(
    ["/rules/1/usage/agent/id", "/rules/0/when/2/is", "/rules/0/usage/labels/a~1b", "/organization", "", "/rules"].map(
      wordsOf,
    ),
  ).toEqual([
    "Rule 2, usage, agent, id",
    "Rule 1, condition 3, is",
    "Rule 1, usage, labels, a/b",
    "organization",
    "",
    "",
  ])
})

test("usage is shown by field, with names before ids", () => {
  const data = {
    run: { id: "r1", parent_id: "r0" },
    product: "assistant",
    feature: "gpt-6",
    feature_kind: "model",
    agent: { id: "agt_1", name: "Report", kind: "saved" },
    actor: { id: "ada", kind: "service_account" },
    labels: { team: "red", cost: "7" },
    quantities: { input_tokens: "12", output_tokens: "3.5" },
  }
  expect(linesOf({ id: "1", data })).toEqual([
    ["Product", "Assistant"],
    ["Kind of feature", "model"],
    ["Feature", "gpt-6"],
    ["Agent", "Report (agt_1, saved)"],
    ["Used by", "ada (service account)"],
    ["Run", "r1 (started by r0)"],
    ["Labels", "team: red, cost: 7"],
    ["Quantities", "12 input_tokens, 3.5 output_tokens"],
  ])
  expect(linesOf({ data: { quantity: "5", unit: "tokens" } })).toEqual([["Quantity", "5 tokens"]])
  expect(linesOf({})).toEqual([])
})

test("names are quoted for people", () => {
  expect(quoted("rule `a b`: `x` is missing")).toBe("rule “a b”: “x” is missing")
})

test("an outcome names the rule", () => {
  const event = { id: "1", event: null, usage: null, failure: null }
  expect(outcomeOf({ ...event, outcome: "usage", rule: "calls" })).toBe("Counted as usage by the rule “calls”")
  expect(outcomeOf({ ...event, outcome: "unplaced", rule: "calls" })).toBe("Not counted: the rule “calls” failed")
  expect(outcomeOf({ ...event, outcome: "unmapped", rule: null })).toBe("Not counted: no rule matches")
})

test("a document's protocols and the settings of their clients are there once, also of an unfinished document", () => {
  const rules = [{ protocol: "otlp_logs" }, { protocol: "lago" }, { protocol: "otlp_logs" }, { protocol: "x" }, null]
  expect(protocolsOf({ rules })).toEqual(["otlp_logs", "lago"])
  expect([protocolsOf(null), protocolsOf({ rules: 7 })]).toEqual([[], []])
  expect(settingsOf(["otlp_traces", "otlp_logs"]).match(/OTEL_EXPORTER_OTLP_ENDPOINT/g)).toHaveLength(1)
})
