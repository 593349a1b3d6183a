import { expect, test } from "vitest"
import { barsOf, rangesOf } from "./days"

const day = (date: string, credits: string) => ({ day: date, credits, events: 1 })

test("days without usage have a bar of no height, and days after today have none", () => {
  const days = [day("2026-11-02", "4.000000"), day("2026-11-04", "1.000000")]
  const bars = barsOf(days, { from: "2026-11-01", to: "2026-11-30" }, "2026-11-04")
  expect(bars.map(({ at, height }) => [at, height])).toEqual([
    ["2026-11-01", 0],
    ["2026-11-02", 1],
    ["2026-11-03", 0],
    ["2026-11-04", 0.25],
  ])
})

test("a long range has a bar per month", () => {
  const days = [day("2026-09-30", "1.000000"), day("2026-10-01", "1.000000"), day("2026-10-31", "1.000000")]
  const bars = barsOf(days, { from: "2026-08-15", to: "2026-11-30" }, "2026-11-24")
  expect(bars.map(({ at, credits }) => [at, credits])).toEqual([
    ["2026-08", "0.000000"],
    ["2026-09", "1.000000"],
    ["2026-10", "2.000000"],
    ["2026-11", "0.000000"],
  ])
})

test("ranges end with this month, except the last month", () => {
  expect(rangesOf("2026-01-31").map(({ range }) => [range.from, range.to])).toEqual([
    ["2026-01", "2026-01"],
    ["2025-12", "2025-12"],
    ["2025-11", "2026-01"],
    ["2025-02", "2026-01"],
  ])
})
