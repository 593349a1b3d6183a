import { expect, test } from "vitest"
import { makeFormat } from "./format"

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

test("a percentage is cut: 99.99 is not all", () => {
  expect(english.percent("99.99")).toBe("99.9%")
  expect(english.percent("103.25")).toBe("103.2%")
  expect(english.share("0.999999")).toBe("99.9%")
  expect(english.change("-0.250000")).toBe("-25.0%")
  expect(english.change("0.003498")).toBe("+0.3%")
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
