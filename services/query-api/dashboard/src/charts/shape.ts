import type { Schemas } from "../api/client"
import { fromMicro, toLength, toMicro } from "../format/credits"

type Trend = Schemas["Trend"]
export type Bucket = Schemas["TrendBucket"]

/** What a part of each column stands for. */
export interface ChartLine {
  key: string
  name: string
  color: string
}

/** A line across the chart, with a value for each column; null where there is none. */
export interface Guide {
  name: string
  kind: "budget" | "pace"
  /** Whether each value is what has come together by the end of its column; else it holds for the column alone. */
  isRunning: boolean
  values: (string | null)[]
}

/** What is to be said of a bucket whose total is not the whole truth. */
export const STATE_WORDS: Record<Bucket["state"], string> = {
  complete: "",
  partial: "in progress",
  missing: "no data yet",
  future: "not started",
}

/** A trend as it is drawn: a stack of parts in each bucket, exact in words and floats in lengths. */
export interface Column {
  bucket: Bucket
  /** In the order of the series. */
  parts: string[]
  total: string
}

/** Per bucket or, cumulative, all of the range up to its end; nothing follows the last bucket that has begun. */
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

/** Where each part begins and ends, in credits; what corrections took below zero goes down from the axis. */
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

/** The highest and lowest that is drawn. */
export function extent(columns: readonly Column[], also: readonly number[]): [number, number] {
  const boxes = columns.flatMap(({ parts }) => stack(parts))
  return [Math.min(0, ...boxes.map(({ from }) => from)), Math.max(...boxes.map(({ to }) => to), ...also, 0) || 1]
}

/** Every so many labels, so that each has its room. */
export function labelEvery(count: number, width: number, labelWidth: number): number {
  return Math.max(1, Math.ceil((count * labelWidth) / Math.max(width, 1)))
}

/** A guide as an SVG path: a running one rises within each column, others are level over it. `x` is a column's left edge. */
export function pathOf(
  { values, isRunning }: Guide,
  x: (place: number) => number,
  step: number,
  y: (value: number) => number,
): string {
  let before: number | null = isRunning ? 0 : null
  return values
    .map((value, place) => {
      if (value === null) {
        before = null
        return ""
      }
      const height = toLength(value)
      const [left, right] = [x(place), x(place) + step]
      const start = isRunning ? (before ?? height) : height
      const move = before === null || place === 0 ? `M${left} ${y(start)}` : `L${left} ${y(start)}`
      before = height
      return `${move}L${right} ${y(height)}`
    })
    .join("")
}
