import type { Schemas } from "../../api/client"
import { addDays, addMonths, endOf, monthOf } from "../../format/dates"
import type { Range } from "../../url/urlState"

/** A range that the user chooses with one click. */
export interface Preset {
  name: string
  range: Range
  /** First and last day, inclusive; null for all time, whose bounds only the API knows. */
  days: { from: string; to: string } | null
}

export const EARLIER = "Credit period"

/** The current credit period first, if there is one, then months, then earlier credit periods. */
export function presetsOf(periods: readonly Schemas["CreditPeriodCredits"][], today: string): Preset[] {
  const month = monthOf(today)
  const presets: Preset[] = []
  const current = periods.find(({ state }) => state === "current")
  if (current) presets.push({ name: "This credit period", range: {}, days: daysOf(current) })
  presets.push(
    { name: "This month", range: { from: month, to: month }, days: { from: `${month}-01`, to: endOf(month) } },
    monthsBack("Last 3 months", month, 3),
    monthsBack("Last 12 months", month, 12),
    { name: "All time", range: { range: "all" }, days: null },
  )
  for (const [place, period] of periods.filter(({ state }) => state === "past").entries()) {
    const name = place === 0 ? "Previous credit period" : EARLIER
    presets.push({ name, range: { credit_period: period.key }, days: daysOf(period) })
  }
  return presets
}

function monthsBack(name: string, month: string, count: number): Preset {
  const from = addMonths(month, 1 - count)
  return { name, range: { from, to: month }, days: { from: `${from}-01`, to: endOf(month) } }
}

function daysOf({ from, to }: Schemas["CreditPeriodCredits"]): { from: string; to: string } {
  return { from, to: addDays(to, -1) }
}

/** Whether both choose the same days. An empty range, `current` and the current period's key are equal. */
export function isSame(one: Range, other: Range, current: string | undefined): boolean {
  const plain = ({ credit_period, ...rest }: Range) =>
    JSON.stringify([
      credit_period === "current" ? current : (credit_period ?? nothing(rest, current)),
      rest.from,
      rest.to,
      rest.range,
    ])
  return plain(one) === plain(other)
}

function nothing({ from, range }: Range, current: string | undefined): string | undefined {
  return from || range ? undefined : current
}
