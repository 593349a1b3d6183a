import { describe, expect, test } from "vitest"
import type { Schemas } from "../api/client"
import { barOf, paceOf } from "./pace"

const overview = (given: Partial<Schemas["Overview"]>) =>
  ({ credits_used: "600", credits_available: "1000", period_elapsed: "0.500000", ...given }) as Schemas["Overview"]

describe("the pace", () => {
  test("compares usage with an even use of the available credits", () => {
    expect(paceOf(overview({}))).toEqual({ even: "500.000000", apart: "100.000000", is: "ahead" })
    expect(paceOf(overview({ credits_used: "450" }))?.is).toBe("behind")
    expect(paceOf(overview({ credits_used: "500" }))?.is).toBe("even")
  })

  test("needs a period and available credits", () => {
    expect(paceOf(overview({ credits_available: null }))).toBeNull()
    expect(paceOf(overview({ period_elapsed: null }))).toBeNull()
  })
})

describe("the bar of a product", () => {
  const product = (used: string, contracted: string | null, overage: string | null) => ({
    product: "api" as const,
    used,
    contracted,
    overage,
  })

  test("is relative to its contracted amount", () => {
    expect(barOf(product("25", "100", "0"), "1000")).toEqual({ used: 0.25, overage: 0, limit: 1 })
  })

  test("grows with overage, which is shown beyond the limit", () => {
    expect(barOf(product("125", "100", "25"), "1000")).toEqual({ used: 0.8, overage: 0.2, limit: 0.8 })
  })

  test("without an amount is relative to all available credits", () => {
    expect(barOf(product("250", null, null), "1000")).toEqual({ used: 0.25, overage: 0, limit: null })
  })

  test("is empty for usage below zero", () => {
    expect(barOf(product("-5", "100", "0"), "1000").used).toBe(0)
  })
})
