import { expect, test } from "vitest"
import { intervalsOf } from "./trend"

const range = (from: string, to: string) => ({ from, to })

test("a week has hours, also of some people", () => {
  expect(intervalsOf(range("2026-11-01", "2026-11-07"))).toEqual(["hour", "day"])
  expect(intervalsOf(range("2026-11-01", "2026-11-07"), true)).toEqual(["hour", "day"])
  expect(intervalsOf(range("2026-11-01", "2026-11-08"), true)).toEqual(["day", "week"])
})

test("a single day of some people, which is a column at first, can be shown by hour and back", () => {
  expect(intervalsOf(range("2026-11-01", "2026-11-01"))).toEqual(["hour"])
  expect(intervalsOf(range("2026-11-01", "2026-11-01"), true)).toEqual(["hour", "day"])
})
