import { describe, expect, test } from "vitest"
import type { Schemas } from "../api/client"
import { barOf, paceOf } from "./pace"

const overview = (given: Partial<Schemas["Overview"]>) =>
  ({ credits_used: "600", credits_available: "1000", period_elapsed: "0.500000", ...given }) as Schemas["Overview"]

describe("the pace", () => {
  test("is against an even use of what is available", () => {
    expect(paceOf(overview({}))).toEqual({ even: "500.000000", apart: "100.000000", is: "ahead" })
    expect(paceOf(overview({ credits_used: "450" }))?.is).toBe("behind")
    expect(paceOf(overview({ credits_used: "500" }))?.is).toBe("even")
  })

  test("needs a period and something available", () => {
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

  test("is of its contracted amount", () => {
    expect(barOf(product("25", "100", "0"), "1000")).toEqual({ used: 0.25, overage: 0, limit: 1 })
  })

  test("grows with overage, which is seen beyond the limit", () => {
    expect(barOf(product("125", "100", "25"), "1000")).toEqual({ used: 0.8, overage: 0.2, limit: 0.8 })
  })

  test("without an amount is of all that is available", () => {
    expect(barOf(product("250", null, null), "1000")).toEqual({ used: 0.25, overage: 0, limit: null })
  })

  test("of usage that corrections took below zero is empty", () => {
    expect(barOf(product("-5", "100", "0"), "1000").used).toBe(0)
  })
})
