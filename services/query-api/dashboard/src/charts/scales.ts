import { type ScaleBand, type ScaleLinear, scaleBand, scaleLinear } from "d3-scale"
import { toLength } from "../format/credits"
import { type Column, extent, type Guide, stack } from "./shape"

export const HEIGHT = 264
export const MARGIN = { top: 12, right: 4, bottom: 24, left: 48 }
const WIDEST_BAR = 56

/** Positions in a drawing of a given width, in pixels. */
export interface Scales {
  width: number
  /** Columns by their index. */
  x: ScaleBand<number>
  /** Credits. */
  y: ScaleLinear<number, number>
  barWidth: number
  /** The left edge of a column, including the space around it. */
  edge: (place: number) => number
  middle: (place: number) => number
}

export function scalesOf(columns: readonly Column[], guides: readonly Guide[], width: number): Scales {
  const inner = Math.max(0, width - MARGIN.left - MARGIN.right)
  const values = guides.flatMap((guide) => guide.values).flatMap((value) => (value === null ? [] : [toLength(value)]))
  const y = scaleLinear()
    .domain(extent(columns, values))
    .nice(5)
    .range([HEIGHT - MARGIN.bottom, MARGIN.top])
  const x = scaleBand<number>()
    .domain(columns.map((_, place) => place))
    .range([MARGIN.left, MARGIN.left + inner])
    .paddingInner(columns.length > 60 ? 0.1 : 0.25)
    .paddingOuter(0.1)
  const middle = (place: number) => (x(place) ?? 0) + x.bandwidth() / 2
  const edge = (place: number) => (x(place) ?? 0) - (x.step() - x.bandwidth()) / 2
  return { width, x, y, barWidth: Math.min(x.bandwidth(), WIDEST_BAR), edge, middle }
}

/** One line's boxes as one path, either in all complete columns or in the partial ones. */
export function barsOf(
  columns: readonly Column[],
  line: number,
  { y, barWidth, middle }: Scales,
  which: "ended" | "partial",
): string {
  return columns
    .map(({ bucket, parts }, place) => {
      if (bucket.state === "future" || (bucket.state === "partial") !== (which === "partial")) return ""
      const box = stack(parts)[line]
      if (!box || box.to <= box.from) return ""
      const [top, bottom] = [y(box.to), y(box.from)]
      const gap = bottom - top > 3 ? 1 : 0 // between this box and the box below
      const height = Math.max(0.5, bottom - top - gap)
      return `M${round(middle(place) - barWidth / 2)} ${round(top)}h${round(barWidth)}v${round(height)}h${-round(barWidth)}z`
    })
    .join("")
}

function round(pixels: number): number {
  return Math.round(pixels * 100) / 100
}
