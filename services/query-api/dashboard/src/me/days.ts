import type { Schemas } from "../api/client"
import { fromMicro, toMicro } from "../format/credits"
import { addDays, addMonths, countDays, monthOf } from "../format/dates"
import type { Range } from "../url/urlState"

/** Longer ranges have a bar per month. */
const DAILY_UP_TO = 62

export interface Bar {
  /** A date, or a month such as "2026-11". */
  at: string
  credits: string
  /** Relative to the highest bar, from 0 to 1. */
  height: number
}

/** A bar for each day or month of the range up to today, also for those without usage. */
export function barsOf(days: readonly Schemas["MyDay"][], range: Schemas["DateRange"], today: string): Bar[] {
  const last = range.to < today ? range.to : today
  const isDaily = countDays(range.from, last) <= DAILY_UP_TO
  const keyOf = isDaily ? (day: string) => day : monthOf
  const sums = new Map<string, bigint>()
  for (let day = range.from; day <= last; day = isDaily ? addDays(day, 1) : `${addMonths(monthOf(day), 1)}-01`) {
    sums.set(keyOf(day), 0n)
  }
  for (const { day, credits } of days) sums.set(keyOf(day), (sums.get(keyOf(day)) ?? 0n) + toMicro(credits))
  const highest = [...sums.values()].reduce((most, micro) => (micro > most ? micro : most), 1n)
  return [...sums].map(([at, micro]) => ({
    at,
    credits: fromMicro(micro),
    height: micro > 0n ? Number((micro * 1000n) / highest) / 1000 : 0,
  }))
}

/** Ranges that the page offers, the first by default. */
export function rangesOf(today: string): { name: string; range: Range }[] {
  const month = monthOf(today)
  const back = (months: number) => addMonths(month, -months)
  return [
    { name: "This month", range: { from: month, to: month } },
    { name: "Last month", range: { from: back(1), to: back(1) } },
    { name: "3 months", range: { from: back(2), to: month } },
    { name: "12 months", range: { from: back(11), to: month } },
  ]
}
