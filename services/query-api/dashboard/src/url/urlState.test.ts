import { describe, expect, test } from "vitest"
import { readOrder } from "../breakdown/table/rows"
import { parseSearch, type Search, writeSearch } from "./search"
import { apiQuery, readUrlState, VIEWS } from "./urlState"

const read = (text: string) => readUrlState(parseSearch(text))

describe("the URL", () => {
  test.each([
    "?credit_period=2026-08-15",
    "?from=2026-11&to=2026-11",
    "?from=2026-11-03&to=2026-11-09&interval=day",
    "?range=all&product=agents&view=features&surface=&surface=slack&group_by=surface&categories=now",
    "?product=api&interval=week&scope=all&sum=cumulative&chart=table",
    "?tab=people&product=agents&by=label&label_key=project&actor=usr_1&group=g&label=project%3Aa%3Ab&membership=now",
    "?tab=runs&panel=run&run=6f1c2c5b8e4d4a0f9b7a3c1d2e5f6071&receipt=20779-0f5e",
    "?product=agents&panel=drivers&of=agent%3Aagt_1",
    "?key=4kQ9vT2mXa7B",
    "?tab=runs&agent=agt_1",
    "?tab=runs&agent=",
    "?q=caf%C3%A9+%26+co&sort=-change&open=category%3AMedia&open=category%3AMedia%2Fagent%3Aagt_1&panel=reconcile",
  ])("%s is the same view after a reload", (address) => {
    expect(writeSearch(read(address) as Search)).toBe(address)
  })

  test("an id that could be read as a number or as JSON stays a string", () => {
    expect(read("?credit_period=2026")).toEqual({ credit_period: "2026" })
    expect(read("?credit_period=c%252F1/year-1")).toEqual({ credit_period: "c%2F1/year-1" })
    expect(read("?credit_period=%22x%22")).toEqual({ credit_period: '"x"' })
  })

  test.each([
    "?from=2026-11",
    "?to=2026-11",
    "?from=2026-11&to=2026-10",
    "?from=2026-11&to=2026-11-30",
    "?from=yesterday&to=today",
    "?from=2026-13&to=2026-14",
    "?from=2026-02-30&to=2026-03-01",
    "?range=some",
    "?product=models",
    "?view=namespaces",
    "?sort=price",
    "?panel=everything",
    "?tab=groups",
    "?by=surface",
    "?label=project",
    "?run=../x",
    "?key=../x",
    "?unknown=1",
  ])("an invalid value of %s is ignored", (address) => {
    expect(read(address)).toEqual({})
  })

  test("one kind of range overrides the others", () => {
    expect(read("?credit_period=p1&from=2026-11&to=2026-11&range=all")).toEqual({ credit_period: "p1" })
    expect(read("?from=2026-11&to=2026-11&range=all")).toEqual({ from: "2026-11", to: "2026-11" })
  })
})

describe("an arbitrary URL", () => {
  const NAMES =
    "credit_period from to range product view surface group_by categories interval scope sum chart q sort open panel " +
    "tab by label_key actor group label membership of run receipt key agent explained against"
  const GARBAGE = [
    "", "zzz", "-", "0", "null", "undefined", "[]", "{}", '"', "%00", "%", "%E0%A4%A", "\u0000", "é̈", "😀", "a".repeat(9_000),
    "2026-99", "9999-99-99", "0000-00", "-credits-", "constructor", "__proto__", "toString", "<script>", "../..", "2026-11&to=",
  ] // biome-ignore format: a list

  function check(address: string) {
    const view = read(address)
    expect(readUrlState(parseSearch(writeSearch(view as Search)))).toEqual(view)
    expect(Object.keys(VIEWS)).toContain(apiQuery(view).product)
    expect(VIEWS[apiQuery(view).product]).toContain(apiQuery(view).view)
    expect(["name", "credits", "uses", "share", "change"]).toContain(readOrder(view.sort).by)
  }

  test.each(NAMES.split(" "))("any value of %s gives a view that is the same when it is read again", (name) => {
    for (const value of GARBAGE) {
      for (const address of [`?${name}=${value}`, `?${name}=${value}&${name}=${value}`, `?${name}[]=${value}`]) {
        check(address)
      }
    }
  })

  test.each(["?__proto__=1&__proto__=2", "?constructor=1", "?toString=1&toString=2", "?&&=&=1", "??"])("%s", check)
})

describe("the API's query", () => {
  test("defaults are the first tab and view, and no range, which is the current credit period", () => {
    expect(apiQuery({})).toEqual({ product: "assistant", view: "models" })
    expect(apiQuery({ product: "agents" })).toEqual({ product: "agents", view: "agents" })
  })

  test("has no display options", () => {
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

test("reads days to explain only if they are two dates in order", () => {
  const read = (explained: string) => readUrlState({ panel: "explain", explained }).explained
  expect(read("2026-10-01/2026-10-31")).toBe("2026-10-01/2026-10-31")
  for (const wrong of [
    "2026-10",
    "2026-10/2026-11",
    "2026-10-31/2026-10-01",
    "2026-02-30/2026-03-01",
    "2026-10-01/2026-10-02/x",
  ]) {
    expect(read(wrong)).toBeUndefined()
  }
})
