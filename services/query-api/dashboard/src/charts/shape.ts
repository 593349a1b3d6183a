import type { Schemas } from "../api/client"
import { fromMicro, toLength, toMicro } from "../format/credits"

type Trend = Schemas["Trend"]
export type Bucket = Schemas["TrendBucket"]

/** A series, drawn as one part of each column. */
export interface ChartLine {
  key: string
  name: string
  color: string
}

/** A line across the chart, with a value for each column; null for a column without one. */
export interface Guide {
  name: string
  kind: "budget" | "pace" | "contract" | "projection" | "low" | "high"
  /** Whether each value is cumulative up to the end of its column; otherwise it applies to its column only. */
  isRunning: boolean
  /** The value at the left edge of the first column with a value, if the guide begins in the middle of the chart. */
  begin?: string
  values: (string | null)[]
}

/** Notes for buckets whose total is incomplete. */
export const STATE_WORDS: Record<Bucket["state"], string> = {
  complete: "",
  partial: "in progress",
  missing: "no data yet",
  future: "not started",
}

/** Whether the bucket has a total, which may be incomplete. */
export function isKnown({ state }: Bucket): boolean {
  return state === "complete" || state === "partial"
}

/** A column of the chart: a bucket with its stacked parts. Texts use exact decimals, lengths use floats. */
export interface Column {
  bucket: Bucket
  /** In the order of the series. */
  parts: string[]
  total: string
}

/** Amounts per bucket or, if cumulative, from the range's beginning to each bucket's end. Future buckets have none. */
export function columnsOf(trend: Trend, cumulative: boolean): Column[] {
  const sums = trend.series.map(() => 0n)
  return trend.buckets.map((bucket, place) => {
    const parts = trend.series.map(({ credits }) => credits[place] ?? "0.000000")
    if (!cumulative) return { bucket, parts, total: bucket.total }
    parts.forEach((part, line) => {
      sums[line] = (sums[line] ?? 0n) + toMicro(part)
    })
    return { bucket, parts: sums.map(fromMicro), total: fromMicro(sums.reduce((all, sum) => all + sum, 0n)) }
  })
}

export interface Box {
  line: number
  from: number
  to: number
}

/** Begin and end of each part, in credits. Negative parts, which corrections can cause, go down from the axis. */
export function stack(parts: readonly string[]): Box[] {
  let up = 0
  let down = 0
  return parts.map((part, line) => {
    const length = toLength(part)
    if (length < 0) {
      down += length
      return { line, from: down, to: down - length }
    }
    up += length
    return { line, from: up - length, to: up }
  })
}

/** The lowest and highest value of the drawing. */
export function extent(columns: readonly Column[], also: readonly number[]): [number, number] {
  const boxes = columns.flatMap(({ parts }) => stack(parts))
  return [Math.min(0, ...boxes.map(({ from }) => from)), Math.max(...boxes.map(({ to }) => to), ...also, 0) || 1]
}

/** Show every n-th label, so that labels do not overlap. */
export function labelEvery(count: number, width: number, labelWidth: number): number {
  return Math.max(1, Math.ceil((count * labelWidth) / Math.max(width, 1)))
}

/** A guide as an SVG path. A cumulative guide rises within each column; others are level. `x` is a column's left edge. */
export function pathOf(
  { values, isRunning, begin }: Guide,
  x: (place: number) => number,
  step: number,
  y: (value: number) => number,
): string {
  let before: number | null = isRunning && begin === undefined ? 0 : null
  return values
    .map((value, place) => {
      if (value === null) {
        before = null
        return ""
      }
      const height = toLength(value)
      const [left, right] = [x(place), x(place) + step]
      const start = isRunning ? (before ?? toLength(begin ?? value)) : height
      const move = before === null || place === 0 ? `M${left} ${y(start)}` : `L${left} ${y(start)}`
      before = height
      return `${move}L${right} ${y(height)}`
    })
    .join("")
}

/** The area between two guides that begin at the same place: along the upper one, and back along the lower one. */
export function areaOf(
  low: Guide,
  high: Guide,
  x: (place: number) => number,
  step: number,
  y: (value: number) => number,
): string {
  const points = (guide: Guide) =>
    guide.values.flatMap((value, place) => (value === null ? [] : [`${x(place) + step} ${y(toLength(value))}`]))
  const first = high.values.findIndex((value) => value !== null)
  if (first < 0) return ""
  const begin = `${x(first)} ${y(toLength(high.begin ?? "0"))}`
  return `M${[begin, ...points(high), ...points(low).reverse()].join("L")}Z`
}
