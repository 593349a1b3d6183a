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

test("other actions list all values", () => {
  expect(detailsOf({ file: "usage.csv", query: "" })).toEqual(["file: usage.csv", "query: none"])
  expect(detailsOf({})).toEqual([])
})

test("an action that this page does not know keeps its id", () => {
  expect(["session.begin", "rocket.launch"].map(actionName)).toEqual(["Signed in", "rocket.launch"])
})
