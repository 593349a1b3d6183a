import { describe, expect, test } from "vitest"
import { parseSearch, type Search, writeSearch } from "./search"
import { apiQuery, readView } from "./view"

const read = (text: string) => readView(parseSearch(text))

describe("the address", () => {
  test.each([
    "?credit_period=2026-08-15",
    "?from=2026-11&to=2026-11",
    "?from=2026-11-03&to=2026-11-09&interval=day",
    "?range=all&product=agents&view=features&surface=&surface=slack&group_by=surface&categories=now",
    "?product=api&interval=week&scope=all&sum=cumulative&chart=table",
    "?q=caf%C3%A9+%26+co&sort=-change&open=category%3AMedia&open=category%3AMedia%2Fagent%3Aagt_1&panel=reconcile",
  ])("%s is the same view after a reload", (address) => {
    expect(writeSearch(read(address) as Search)).toBe(address)
  })

  test("an id that looks like a number or like JSON stays a text", () => {
    expect(read("?credit_period=2026")).toEqual({ credit_period: "2026" })
    expect(read("?credit_period=%22x%22")).toEqual({ credit_period: '"x"' })
  })

  test.each([
    "?from=2026-11",
    "?to=2026-11",
    "?from=2026-11&to=2026-10",
    "?from=2026-11&to=2026-11-30",
    "?from=yesterday&to=today",
    "?range=some",
    "?product=models",
    "?view=namespaces",
    "?sort=price",
    "?panel=everything",
    "?unknown=1",
  ])("what %s means is not guessed", (address) => {
    expect(read(address)).toEqual({})
  })

  test("one kind of range wins", () => {
    expect(read("?credit_period=p1&from=2026-11&to=2026-11&range=all")).toEqual({ credit_period: "p1" })
    expect(read("?from=2026-11&to=2026-11&range=all")).toEqual({ from: "2026-11", to: "2026-11" })
  })
})

describe("what the API is asked", () => {
  test("defaults are the first tab and view, and no range, which is the current credit period", () => {
    expect(apiQuery({})).toEqual({ product: "assistant", view: "models" })
    expect(apiQuery({ product: "agents" })).toEqual({ product: "agents", view: "agents" })
  })

  test("nothing of how it is shown", () => {
    const view = read(
      "?range=all&product=agents&surface=web&categories=now&q=x&sort=name&open=a&interval=day&chart=table",
    )
    expect(apiQuery(view)).toEqual({
      range: "all",
      product: "agents",
      view: "agents",
      surface: ["web"],
      categories: "now",
    })
  })
})
