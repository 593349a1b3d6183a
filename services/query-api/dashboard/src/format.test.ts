import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { type LevelText, makeFormat } from "./format"

const german = makeFormat("de-DE", "Europe/Berlin")
const english = makeFormat("en-US", "America/New_York")

test("credits have no places, but under ten two", () => {
  expect(german.credits("29549.058115")).toBe("29.549")
  expect(english.credits("9.249999")).toBe("9.25")
  expect(english.credits("-9.2")).toBe("-9.20")
  expect(english.credits("0.000000")).toBe("0")
})

test("every place of large amounts is right", () => {
  expect(english.exact("12345678901234567890.123456")).toBe("12,345,678,901,234,567,890.123456")
  expect(english.column("9007199254740993.250000")).toBe("9,007,199,254,740,993.25")
})

interface Vectors {
  amount: { credits: string; text: string }[]
  level: ({ given: { used: string; available: string } } & LevelText)[]
  percent: { percent: string; text: string }[]
  share: { fraction: string; text: string }[]
  change: { fraction: string; text: string }[]
}

/** What the formatter of mails and Slack writes, too. */
describe("the texts that Python and this page share", () => {
  const file = new URL("../../../../schemas/texts/credits.json", import.meta.url)
  const vectors: Vectors = JSON.parse(readFileSync(file, "utf8"))

  test.each(vectors.amount)("$credits credits are $text", ({ credits, text }) => {
    expect(english.credits(credits)).toBe(text)
  })
  test.each(vectors.level)("$given.used of $given.available are $used of $available", ({ given, ...texts }) => {
    expect(english.level(given.used, given.available)).toEqual(texts)
  })
  test.each(vectors.percent)("$percent percent are $text", ({ percent, text }) => {
    expect(english.percent(percent)).toBe(text)
  })
  test.each(vectors.share)("a share of $fraction is $text", ({ fraction, text }) => {
    expect(english.share(fraction)).toBe(text)
  })
  test.each(vectors.change)("a change of $fraction is $text", ({ fraction, text }) => {
    expect(english.change(fraction)).toBe(text)
  })
})

test("percentages and levels follow the locale", () => {
  expect(german.percent("87.16").replace(/\s/g, " ")).toBe("87,2 %")
  expect(german.share("0.0001").replace(/\s/g, " ")).toBe("<0,1 %")
  expect(german.level("29549.058115", "32800").used).toBe("29.549")
})

test("in a column, little is not nothing", () => {
  expect(["0", "0.004", "0.005", "0.005001", "-0.004"].map(english.column)).toEqual([
    "0.00",
    "<0.01",
    "<0.01",
    "0.01",
    ">-0.01",
  ])
})

test("dates are days, whatever the zone, and instants are shown in the organization's", () => {
  expect(english.day("2026-11-01")).toBe("Nov 1, 2026")
  expect(english.month("2026-11")).toBe("November 2026")
  expect(german.days("2026-08-15", "2027-02-14").replace(/\s/g, " ")).toBe("15. Aug. 2026 – 14. Feb. 2027")
  expect(german.time(new Date("2026-11-24T13:02:10Z"))).toBe("14:02:10")
  expect(english.time(new Date("2026-11-24T13:02:10Z"))).toBe("08:02:10 AM")
})

test("how long ago is in the largest unit that fits", () => {
  expect([0, 3, 59.9, 60, 3_599, 86_400 * 3].map(german.ago)).toEqual([
    "0 s ago",
    "3 s ago",
    "59 s ago",
    "1 min ago",
    "59 min ago",
    "3 d ago",
  ])
})

test("a locale or zone that the browser does not know is no reason to show nothing", () => {
  expect(makeFormat("tlh-Xxxx-!", "Mars/Olympus").day("2026-11-01")).toBe("Nov 1, 2026")
})
