import type { Schemas } from "../../api/client"
import { type Budget, budgetOf } from "../../charts/budget"
import type { Bucket, ChartLine, Column, Guide } from "../../charts/shape"
import { fromMicro, sum, toMicro } from "../../format/credits"
import { countDays, endOf, monthOf } from "../../format/dates"
import type { Format } from "../../format/format"
import { surfaceName } from "../../ui/labels"
import type { Range } from "../../url/urlState"
import { colorsOf } from "./colors"

type Trend = Schemas["Trend"]
export type Interval = Trend["interval"]

const PRODUCT_COLORS: Record<string, string> = {
  assistant: "var(--assistant)",
  agents: "var(--agents)",
  api: "var(--api)",
}

export function linesOf({ series }: Trend): ChartLine[] {
  const colors = colorsOf(series.flatMap(({ key, kind }) => (PRODUCT_COLORS[key] || kind === "other" ? [] : [key])))
  const names = new Map<string, number>()
  for (const { name } of series) names.set(name, (names.get(name) ?? 0) + 1)
  return series.map(({ key, kind, name }) => ({
    key,
    name: kind === "surface" ? surfaceName(key.slice("surface/".length)) : twinName(name, key, names),
    color: PRODUCT_COLORS[key] ?? colors.get(key) ?? "var(--series-other)",
  }))
}

/** The name; with the id (the key's last part) if other series have the same name. */
function twinName(name: string, key: string, names: Map<string, number>): string {
  return (names.get(name) ?? 0) > 1 ? `${name} (${key.slice(key.lastIndexOf("/") + 1)})` : name
}

/** Intervals that give a readable chart for the range. Usage of some people is shown by day at first, also of a single day. */
export function intervalsOf(range: Schemas["DateRange"], isOfSome = false): Interval[] {
  const days = countDays(range.from, range.to)
  const readable: [Interval, boolean][] = [
    ["hour", days <= 7],
    ["day", (days > 1 || isOfSome) && days <= 400],
    ["week", days > 7 && days <= 3_000],
    ["month", days > 31],
  ]
  return readable.flatMap(([interval, isReadable]) => (isReadable ? [interval] : []))
}

/** Labels of a bucket: short (under its column) and full. */
export function bucketNames(interval: Interval, format: Format) {
  const short = ({ days, start_at }: Bucket) => {
    if (!days) return format.hour(new Date(start_at))
    return interval === "month" ? format.shortMonth(monthOf(days.from)) : format.shortDay(days.from)
  }
  const full = ({ days, start_at, end_at }: Bucket) => {
    if (!days) return format.times(new Date(start_at), new Date(end_at))
    return days.from === days.to ? format.weekday(days.from) : format.days(days.from, days.to)
  }
  return { short, full }
}

/** A bucket's days as a range; whole months become months. */
export function rangeIn(days: { from: string; to: string }): Range {
  const month = monthOf(days.from)
  const isMonth = days.from === `${month}-01` && days.to === endOf(month)
  return isMonth ? { from: month, to: month } : { from: days.from, to: days.to }
}

/** The monthly budget as a guide over the columns of all products: per column, or cumulative. */
export function budgetGuide(
  columns: readonly Column[],
  interval: Interval,
  budget: Budget,
  cumulative: boolean,
): Guide {
  let before: string | null = "0.000000"
  const values = columns.map(({ bucket: { days } }) => {
    const own = days ? budgetOf(budget, days.from, days.to) : null
    if (!cumulative) return own
    before = before === null || own === null ? null : sum([before, own])
    return before
  })
  const name = cumulative ? "Budget so far" : interval === "month" ? "Monthly budget" : "Budget (spread evenly)"
  return { name, kind: "budget", isRunning: cumulative, values }
}

/** Cumulative usage at each column if the available credits were used evenly over the credit period. */
export function paceGuide(columns: readonly Column[], range: Schemas["DateRange"], available: string): Guide {
  const days = BigInt(countDays(range.from, range.to))
  const values = columns.map(({ bucket }) =>
    bucket.days ? fromMicro((toMicro(available) * BigInt(countDays(range.from, bucket.days.to))) / days) : null,
  )
  return { name: "Even pace", kind: "pace", isRunning: true, values }
}
