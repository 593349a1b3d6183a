import { expect, test } from "vitest"
import { actionName, detailsOf } from "./details"

test("a change lists the values that differ", () => {
  const before = { version: 1, usage: { thresholds: [75, 90], on: false }, monthly_budget: { credits: null } }
  const after = { version: 2, usage: { thresholds: [80], on: false }, monthly_budget: { credits: "5000" } }
  expect(detailsOf({ before, after })).toEqual([
    "version: 1 → 2",
    "usage, thresholds: 75, 90 → 80",
    "monthly budget, credits: none → 5000",
  ])
})

test("a change of an item in a list names the item, and what both have in common is not repeated", () => {
  const rule = { name: "calls", when: [{ at: "/type", is: "a" }], usage: { feature: { at: ["/model", "/name"] } } }
  const changed = { ...rule, usage: { feature: { at: "/model" } } }
  expect(detailsOf({ api_key: "k1", before: { rules: [rule] }, after: { rules: [changed, rule] } })).toEqual([
    "api key: k1",
    "rules 1, usage, feature, at: /model, /name → /model",
    "rules 2, name: none → calls",
    "rules 2, when 1, at: none → /type",
    "rules 2, when 1, is: none → a",
    "rules 2, usage, feature, at: none → /model, /name",
  ])
})

test("other actions list all values", () => {
  expect(detailsOf({ file: "usage.csv", query: "" })).toEqual(["file: usage.csv", "query: none"])
  expect(detailsOf({})).toEqual([])
})

test("an action that this page does not know keeps its id", () => {
  expect(["session.begin", "rocket.launch"].map(actionName)).toEqual(["Signed in", "rocket.launch"])
})
