import { expect, test } from "vitest"
import { addDays, addMonths, countDays, endOf, todayIn } from "./dates"

test("arithmetic crosses the ends of months and years, and days on which clocks change", () => {
  expect(addDays("2026-03-28", 2)).toBe("2026-03-30")
  expect(addDays("2026-01-01", -1)).toBe("2025-12-31")
  expect(countDays("2026-10-24", "2026-10-26")).toBe(3)
  expect(addMonths("2026-01", -1)).toBe("2025-12")
  expect(addMonths("2026-12", 1)).toBe("2027-01")
  expect(["2026-02", "2028-02", "2026-12"].map(endOf)).toEqual(["2026-02-28", "2028-02-29", "2026-12-31"])
})

test("today is the date in the organization's zone, whatever the browser's", () => {
  const now = new Date("2026-11-24T11:30:00Z")
  expect(todayIn("Pacific/Auckland", now)).toBe("2026-11-25")
  expect(todayIn("Pacific/Pago_Pago", now)).toBe("2026-11-24")
  expect(todayIn("Asia/Kathmandu", new Date("2026-11-24T18:15:00Z"))).toBe("2026-11-25")
})
