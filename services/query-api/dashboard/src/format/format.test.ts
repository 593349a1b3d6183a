import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { type LevelText, makeFormat } from "./format"

const berlin = makeFormat("Europe/Berlin")
const newYork = makeFormat("America/New_York")

test("credits have no decimal places, but two under ten", () => {
  expect(berlin.credits("29549.058115")).toBe("29,549")
  expect(newYork.credits("9.249999")).toBe("9.25")
  expect(newYork.credits("-9.2")).toBe("-9.20")
  expect(newYork.credits("0.000000")).toBe("0")
})

test("every digit of large amounts is right", () => {
  expect(newYork.exact("12345678901234567890.123456")).toBe("12,345,678,901,234,567,890.123456")
  expect(newYork.column("9007199254740993.250000")).toBe("9,007,199,254,740,993.25")
})

interface Vectors {
  amount: { credits: string; text: string }[]
  level: ({ given: { used: string; available: string } } & LevelText)[]
  percent: { percent: string; text: string }[]
  share: { fraction: string; text: string }[]
  change: { fraction: string; text: string }[]
}

/** The formatter of mails and Slack is tested with the same vectors. */
describe("the texts that Python and this page share", () => {
  const file = new URL("../../../../../schemas/texts/credits.json", import.meta.url)
  const vectors: Vectors = JSON.parse(readFileSync(file, "utf8"))

  test.each(vectors.amount)("$credits credits are $text", ({ credits, text }) => {
    expect(newYork.credits(credits)).toBe(text)
  })
  test.each(vectors.level)("$given.used of $given.available are $used of $available", ({ given, ...texts }) => {
    expect(newYork.level(given.used, given.available)).toEqual(texts)
  })
  test.each(vectors.percent)("$percent percent are $text", ({ percent, text }) => {
    expect(newYork.percent(percent)).toBe(text)
  })
  test.each(vectors.share)("a share of $fraction is $text", ({ fraction, text }) => {
    expect(newYork.share(fraction)).toBe(text)
  })
  test.each(vectors.change)("a change of $fraction is $text", ({ fraction, text }) => {
    expect(newYork.change(fraction)).toBe(text)
  })
})

test("in a column, a tiny amount is not shown as 0", () => {
  expect(["0", "0.004", "0.005", "0.005001", "-0.004"].map(newYork.column)).toEqual([
    "0.00",
    "<0.01",
    "<0.01",
    "0.01",
    ">-0.01",
  ])
})

test("dates do not depend on a zone, and times have the organization's", () => {
  const instant = new Date("2026-11-24T13:02:10Z")
  expect(newYork.day("2026-11-01")).toBe("Nov 1, 2026")
  expect(newYork.month("2026-11")).toBe("November 2026")
  expect(berlin.days("2026-08-15", "2027-02-14").replace(/\s/g, " ")).toBe("Aug 15, 2026 – Feb 14, 2027")
  expect(berlin.days("2026-08-15", "9999-12-30")).toBe("since Aug 15, 2026")
  expect(berlin.time(instant)).toBe("14:02 CET")
  expect(berlin.moment(new Date("2026-07-24T13:02:10Z"))).toBe("Jul 24, 2026, 15:02 CEST")
  expect(newYork.second(instant)).toBe("Nov 24, 2026, 08:02:10 EST")
  expect(newYork.time(new Date("2026-11-24T05:02:10Z"))).toBe("00:02 EST")
  expect(makeFormat("Asia/Kathmandu").time(instant)).toBe("18:47 GMT+5:45")
  expect(makeFormat("Asia/Kolkata").time(instant)).toBe("18:32 IST")
  expect(berlin.times(instant, new Date("2026-11-24T14:02:10Z")).replace(/\s/g, " ")).toBe(
    "Nov 24, 2026, 14:02 – 15:02 CET",
  )
  expect(makeFormat("UTC").time(instant)).toBe("13:02 UTC")
})

test("ages use the largest unit that fits", () => {
  expect([0, 1, 59.9, 60, 3_599, 86_400 * 3].map(berlin.ago)).toEqual([
    "0 seconds ago",
    "1 second ago",
    "59 seconds ago",
    "1 minute ago",
    "59 minutes ago",
    "3 days ago",
  ])
})

test("an unknown zone falls back to UTC", () => {
  expect(makeFormat("Mars/Olympus").time(new Date("2026-11-24T13:02:10Z"))).toBe("13:02 UTC")
})
