import { expect, test } from "vitest"
import type { Schemas } from "../../api/client"
import { rangeIn } from "../trend/trend"
import { isSame, presetsOf } from "./ranges"

const period = (id: string, from: string, to: string, state: "past" | "current" | "future") =>
  ({ id, key: `contract/${id}`, from, to, state }) as Schemas["CreditPeriodCredits"]

const PERIODS = [
  period("p3", "2027-02-15", "2027-08-15", "future"),
  period("p2", "2026-08-15", "2027-02-15", "current"),
  period("p1", "2026-02-15", "2026-08-15", "past"),
]

test("the current credit period comes first, with its exact days", () => {
  const [first, month, three] = presetsOf(PERIODS, "2026-11-24")
  expect(first).toEqual({
    name: "This credit period",
    range: {},
    days: { from: "2026-08-15", to: "2027-02-14" },
  })
  expect(month?.range).toEqual({ from: "2026-11", to: "2026-11" })
  expect(month?.days).toEqual({ from: "2026-11-01", to: "2026-11-30" })
  expect(three?.range).toEqual({ from: "2026-09", to: "2026-11" })
})

test("past periods can be chosen, future ones cannot", () => {
  const chosen = presetsOf(PERIODS, "2026-11-24").map(({ range }) => range.credit_period)
  expect(chosen).toContain("contract/p1")
  expect(chosen).not.toContain("contract/p3")
  expect(presetsOf([], "2026-01-15").map(({ name }) => name)).not.toContain("This credit period")
})

test("all forms of the current credit period are equal", () => {
  expect(isSame({}, { credit_period: "p2" }, "p2")).toBe(true)
  expect(isSame({}, { credit_period: "current" }, "p2")).toBe(true)
  expect(isSame({}, { credit_period: "p1" }, "p2")).toBe(false)
  expect(isSame({}, { range: "all" }, "p2")).toBe(false)
  expect(isSame({ from: "2026-11", to: "2026-11" }, { from: "2026-11", to: "2026-11" }, undefined)).toBe(true)
})

test("a column's whole month becomes a month", () => {
  expect(rangeIn({ from: "2026-11-01", to: "2026-11-30" })).toEqual({ from: "2026-11", to: "2026-11" })
  expect(rangeIn({ from: "2026-08-15", to: "2026-08-31" })).toEqual({ from: "2026-08-15", to: "2026-08-31" })
})
