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
}

test("age is reckoned by the server's clock and grows with the reader's", () => {
  expect(ageOf(answer, RECEIVED, RECEIVED, false).updatedS).toBe(6)
  expect(ageOf(answer, RECEIVED, RECEIVED + 4_000, false).updatedS).toBe(10)
})

test("a server that does not answer is not current for long", () => {
  expect(ageOf(answer, RECEIVED, RECEIVED + 5_000, true).state).toBe("current")
  expect(ageOf(answer, RECEIVED, RECEIVED + 20_000, true).state).toBe("unreachable")
  expect(ageOf({ ...answer, state: "delayed" }, RECEIVED, RECEIVED, false).state).toBe("delayed")
})

test("what was never counted has no age", () => {
  const never = { ...answer, state: "no_data" as const, updated_at: null, complete_to: null, lag_seconds: null }
  expect(ageOf(never, RECEIVED, RECEIVED, false)).toEqual({ state: "no_data", updatedS: null, completeTo: null })
})
