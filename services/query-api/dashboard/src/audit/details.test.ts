import { expect, test } from "vitest"
import { actionName, detailsOf } from "./details"

test("a change is what differs", () => {
  const before = { version: 1, usage: { thresholds: [75, 90], on: false }, monthly_budget: { credits: null } }
  const after = { version: 2, usage: { thresholds: [80], on: false }, monthly_budget: { credits: "5000" } }
  expect(detailsOf({ before, after })).toEqual([
    "version: 1 → 2",
    "usage, thresholds: 75, 90 → 80",
    "monthly budget, credits: none → 5000",
  ])
})

test("anything else is all that is known", () => {
  expect(detailsOf({ file: "usage.csv", query: "" })).toEqual(["file: usage.csv", "query: none"])
  expect(detailsOf({})).toEqual([])
})

test("an action that this page has not heard of keeps its name", () => {
  expect(["session.begin", "rocket.launch"].map(actionName)).toEqual(["Signed in", "rocket.launch"])
})
