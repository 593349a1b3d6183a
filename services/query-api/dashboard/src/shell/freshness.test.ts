import { expect, test } from "vitest"
import type { Schemas } from "../api/client"
import { ageOf } from "./freshness"

const RECEIVED = Date.parse("2030-01-01T00:00:00Z") // a reader's clock, years off
const answer: Schemas["Freshness"] = {
  state: "current",
  updated_at: "2026-11-24T13:02:05Z",
  complete_to: "2026-11-24T13:02:10Z",
  lag_seconds: 1,
  held: 0,
  quarantine: [],
}

test("age is computed from the server's clock and grows with the browser's", () => {
  expect(ageOf(answer, RECEIVED, RECEIVED, false, 0).updatedS).toBe(6)
  expect(ageOf(answer, RECEIVED, RECEIVED + 4_000, false, 4).updatedS).toBe(10)
})

test("a server that does not respond is not shown as current for long", () => {
  const after = (seconds: number, failing: boolean) =>
    ageOf(answer, RECEIVED, RECEIVED + seconds * 1_000, failing, seconds).state
  expect([5, 11, 20].map((seconds) => after(seconds, true))).toEqual(["current", "silent", "unreachable"])
  expect(ageOf({ ...answer, state: "delayed" }, RECEIVED, RECEIVED, false, 0).state).toBe("delayed")
})

test("a server that hangs is shown as silent after ten seconds, before any request has failed", () => {
  expect([9, 11, 60].map((seconds) => ageOf(answer, RECEIVED, RECEIVED, false, seconds).state)).toEqual([
    "current",
    "silent",
    "silent",
  ])
})

test("an organization without counted usage has no age", () => {
  const never = { ...answer, state: "no_data" as const, updated_at: null, complete_to: null, lag_seconds: null }
  expect(ageOf(never, RECEIVED, RECEIVED, false, 0)).toEqual({ state: "no_data", updatedS: null, completeTo: null })
})
