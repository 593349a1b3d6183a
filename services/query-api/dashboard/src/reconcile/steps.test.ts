import { expect, test } from "vitest"
import type { Schemas } from "../api/client"
import { sum } from "../format/credits"
import { type Line, stepsOf } from "./steps"

const line = (kind: Line["kind"], credits: string, given: Partial<Line> = {}): Line => ({
  kind,
  label: kind,
  credits,
  price: null,
  money: null,
  currency: null,
  included_in: null,
  ...given,
})

const RECONCILIATION = {
  lines: [
    line("usage", "110"),
    line("corrections", "-10"),
    line("late", "5", { included_in: "feature_total" }),
    line("feature_total", "100"),
    line("within_available", "90"),
    line("overage", "10"),
    line("contracted", "60"),
    line("add_on", "20", { label: "Deep Research bundle" }),
    line("add_on", "10", { label: "Another bundle" }),
    line("add_on_not_included", "500"),
    line("available", "90"),
    line("unused", "0"),
    line("expired", "0", { included_in: "unused" }),
    line("minimum_commitment", "0"),
    line("contract_total", "70"),
  ],
  sums: [
    { total: "feature_total", parts: ["usage", "corrections"], credits: "100" },
    { total: "feature_total", parts: ["within_available", "overage"], credits: "100" },
    { total: "available", parts: ["contracted", "add_on"], credits: "90" },
    { total: "available", parts: ["within_available", "unused"], credits: "90" },
    { total: "contract_total", parts: ["contracted", "overage", "minimum_commitment"], credits: "70" },
  ],
} as Schemas["Reconciliation"]

test("in every block the parts add up to the total below them", () => {
  const steps = stepsOf(RECONCILIATION)
  expect(steps.map(({ title }) => title)).toEqual([
    "Usage",
    "Coverage",
    "Credits available",
    "Credits remaining",
    "Contract total",
  ])
  for (const { parts, total } of steps) {
    const credits = parts.flatMap(({ line, is }) => (is === "part" ? [line.credits] : []))
    expect(sum(credits)).toBe(sum([total.credits]))
  }
})

test("no line is left out, and each detail line appears once", () => {
  const steps = stepsOf(RECONCILIATION)
  const listed = steps.flatMap(({ parts, total, besides }) => [...parts.map(({ line }) => line), total, ...besides])
  expect(new Set(listed)).toEqual(new Set(RECONCILIATION.lines))
  expect(listed.filter(({ kind }) => kind === "late")).toHaveLength(1)
})
