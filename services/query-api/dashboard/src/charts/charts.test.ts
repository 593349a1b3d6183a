import { describe, expect, test } from "vitest"
import type { Schemas } from "../api/client"
import { budgetOf } from "./budget"
import { columnsOf, extent, labelEvery, pathOf, stack } from "./shape"

const bucket = (total: string, state: Schemas["TrendBucket"]["state"] = "complete") =>
  ({ start_at: total, total, state }) as Schemas["TrendBucket"]
const trend = {
  buckets: [bucket("0.300000"), bucket("0.000000", "missing"), bucket("1.000001")],
  series: [{ credits: ["0.100000", "0.000000", "1.000000"] }, { credits: ["0.200000", "0.000000", "0.000001"] }],
} as Schemas["Trend"]

describe("columns", () => {
  test("are the amounts of each bucket", () => {
    expect(columnsOf(trend, false).map(({ parts, total }) => [...parts, total])).toEqual([
      ["0.100000", "0.200000", "0.300000"],
      ["0.000000", "0.000000", "0.000000"],
      ["1.000000", "0.000001", "1.000001"],
    ])
  })

  test("cumulative, are exact sums up to each bucket", () => {
    expect(columnsOf(trend, true).map(({ parts, total }) => [...parts, total])).toEqual([
      ["0.100000", "0.200000", "0.300000"],
      ["0.100000", "0.200000", "0.300000"],
      ["1.100000", "0.200001", "1.300001"],
    ])
  })

  test("stack upwards, and corrections downwards", () => {
    expect(stack(["2", "-1", "3", "-2"])).toEqual([
      { line: 0, from: 0, to: 2 },
      { line: 1, from: -1, to: 0 },
      { line: 2, from: 2, to: 5 },
      { line: 3, from: -3, to: -1 },
    ])
    expect(extent([{ bucket: bucket("2"), parts: ["2", "-1"], total: "1" }], [7])).toEqual([-1, 7])
  })

  test("a guide is level over each column, or rises to its end", () => {
    const draw = (isRunning: boolean, values: (string | null)[]) =>
      pathOf(
        { name: "", kind: "budget", isRunning, values },
        (place) => place * 10,
        10,
        (value) => value,
      )
    expect(draw(false, ["3", "6", null, "6"])).toBe("M0 3L10 3L10 6L20 6M30 6L40 6")
    expect(draw(true, ["3", "9"])).toBe("M0 0L10 3L10 3L20 9")
  })

  test("labels do not overlap", () => {
    expect(labelEvery(30, 600, 60)).toBe(3)
    expect(labelEvery(3, 600, 60)).toBe(1)
  })
})

describe("the budget", () => {
  const recurring = { type: "recurring" as const, credits: "3000.000000", month: null, resumes: null }
  const once = { type: "one_time" as const, credits: "6000.000000", month: "2026-11", resumes: "3000.000000" }

  test("is prorated for a part of a month", () => {
    expect(budgetOf(recurring, "2026-11-01", "2026-11-30")).toBe("3000.000000")
    expect(budgetOf(recurring, "2026-11-24", "2026-11-24")).toBe("100.000000")
    expect(budgetOf(recurring, "2026-11-16", "2026-12-31")).toBe("4500.000000")
  })

  test("applies in its month if it is one-time, and the recurring one applies in other months", () => {
    expect(budgetOf(once, "2026-11-01", "2026-12-31")).toBe("9000.000000")
    expect(budgetOf({ ...once, resumes: null }, "2026-12-01", "2026-12-31")).toBeNull()
  })
})
