/** Arithmetic on calendar dates such as "2026-11-24", which have no time zone. Months are "2026-11". */

const DAY_MS = 86_400_000

export function addDays(date: string, days: number): string {
  return new Date(Date.parse(date) + days * DAY_MS).toISOString().slice(0, 10)
}

/** Number of days from the first to the last, inclusive. */
export function countDays(from: string, to: string): number {
  return (Date.parse(to) - Date.parse(from)) / DAY_MS + 1
}

export function monthOf(date: string): string {
  return date.slice(0, 7)
}

export function addMonths(month: string, months: number): string {
  const [year = 0, number = 1] = month.split("-").map(Number)
  return new Date(Date.UTC(year, number - 1 + months)).toISOString().slice(0, 7)
}

/** The last day of a month. */
export function endOf(month: string): string {
  return addDays(`${addMonths(month, 1)}-01`, -1)
}

/** Dates that stand for "no known end": the exclusive end in contracts, and the last day in ranges. */
const NO_END = ["9999-12-31", "9999-12-30"]

export function hasEnd(date: string): boolean {
  return !NO_END.includes(date)
}

/** The current date in a time zone. */
export function todayIn(timeZone: string, now = new Date()): string {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" })
  return parts.format(now)
}
