import { describe, expect, test } from "vitest"
import type { Schemas } from "../api/client"
import type { Column } from "../charts/shape"
import { areaOf, pathOf } from "../charts/shape"
import { makeFormat } from "../format/format"
import { projectionGuides } from "./guides"
import { runOutWords } from "./words"

type Projected = Schemas["ProjectedPeriod"]

const format = makeFormat("UTC")
const credits = (p10: string, p50: string, p90: string) => ({ p10, p50, p90 })
const period: Projected = {
  to: "2026-12-04",
  end_use: credits("5.000000", "6.000000", "7.000000"),
  run_out: { p10: null, p50: null, p90: null },
  probability_not_in_period: "1.000000",
  expiring_unused: credits("0.000000", "0.000000", "0.000000"),
  coverage: "0.800000",
  origins: 100,
  weeks: 8,
  band: {
    from: "2026-12-02",
    p10: ["3.000000", "4.000000", "5.000000"],
    p50: ["3.500000", "5.000000", "6.000000"],
    p90: ["4.000000", "6.000000", "7.000000"],
  },
}

function answer(projection: Partial<Projected> | null, also: Partial<Schemas["ProjectionResponse"]> = {}) {
  return {
    available: "10.000000",
    credit_period: { contract_id: "c", id: "p", key: "c/p", from: "2026-01-01", to: "2026-12-05" },
    exhausted_on: null,
    refusal: null,
    projection: projection && { ...period, ...projection },
    ...also,
  } as Schemas["ProjectionResponse"]
}

describe("the run-out date", () => {
  test.each([
    [
      ["2027-02-03", "2027-02-09", "2027-02-19"],
      "0.000000",
      "Projected to run out around Feb 9, 2027, 8 of 10 times between Feb 3, 2027 and Feb 19, 2027.",
    ],
    [["2027-02-03", "2027-02-03", "2027-02-03"], "0.000000", "Projected to run out on Feb 3, 2027."],
    [
      ["2027-02-03", "2027-02-09", null],
      "0.250000",
      "Projected to run out around Feb 9, 2027, 9 of 10 times not before Feb 3, 2027; may last (25.0% of projections).",
    ],
    [
      ["2027-02-03", null, null],
      "0.700000",
      "Projected to last to the end of the period (70.0% of projections); 9 of 10 times not out before Feb 3, 2027.",
    ],
    [[null, null, null], "0.990000", "Projected to last to the end of the period."],
  ])("%j", ([p10, p50, p90], lasts, words) => {
    const run_out = { p10: p10 ?? null, p50: p50 ?? null, p90: p90 ?? null }
    expect(runOutWords(answer({ run_out, probability_not_in_period: lasts }), format)).toEqual([words])
  })

  test("with credits that would expire", () => {
    const expiring_unused = credits("1000.000000", "2000.000000", "3000.000000")
    expect(runOutWords(answer({ expiring_unused }), format)[1]).toBe("About 2,000 credits would expire unused.")
  })

  test("of a period that ends after the projection", () => {
    const credit_period = { contract_id: "c", id: "p", key: "c/p", from: "2026-01-01", to: "2036-01-01" }
    expect(runOutWords(answer({ expiring_unused: null }, { credit_period }), format)).toEqual([
      "Projected to last to Dec 4, 2026.",
    ])
  })

  test("without a projection, has the reason", () => {
    const refusal = { reason: "too_few_days" as const, detail: "Only 3 complete days." }
    expect(runOutWords(answer(null, { refusal }), format)).toEqual(["No run-out date: Only 3 complete days."])
    expect(runOutWords(answer(null, { exhausted_on: "2026-12-01" }), format)).toEqual([
      "The credits were used up on Dec 1, 2026.",
    ])
    expect(runOutWords(answer(null, { refusal, available: null }), format)).toEqual([])
  })
})

describe("the chart", () => {
  const columns = ["01", "02", "03", "04"].map((day, place) => ({
    bucket: { start_at: day, days: { from: `2026-12-${day}`, to: `2026-12-${day}` } },
    parts: [],
    total: `${place + 1}.000000`,
  })) as unknown as Column[]

  test("continues from the last complete column to the end", () => {
    const guides = projectionGuides(columns, answer({}))
    expect(guides.map(({ kind, values }) => [kind, ...values])).toEqual([
      ["contract", ...columns.map(() => "10.000000")],
      ["projection", null, "3.500000", "5.000000", "6.000000"],
      ["low", null, "3.000000", "4.000000", "5.000000"],
      ["high", null, "4.000000", "6.000000", "7.000000"],
    ])
    const [, projection, low, high] = guides
    const draw = [(place: number) => place * 10, 10, (value: number) => value] as const
    expect(projection && pathOf(projection, ...draw)).toBe("M10 1L20 3.5L20 3.5L30 5L30 5L40 6")
    expect(low && high && areaOf(low, high, ...draw)).toBe("M10 1L20 4L30 6L40 7L40 5L30 4L20 3Z")
  })

  test("has only the contract line without a projection", () => {
    expect(projectionGuides(columns, answer(null)).map(({ kind }) => kind)).toEqual(["contract"])
    expect(projectionGuides(columns, answer(null, { available: null }))).toEqual([])
  })
})
