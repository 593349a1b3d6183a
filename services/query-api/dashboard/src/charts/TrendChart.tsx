import { useElementSize } from "@mantine/hooks"
import { scaleBand, scaleLinear } from "d3-scale"
import { type KeyboardEvent, type MouseEvent, type PointerEvent, useId, useState } from "react"
import { toLength } from "../credits"
import type { Format } from "../format"
import {
  type Bucket,
  type ChartLine,
  type Column,
  extent,
  type Guide,
  labelEvery,
  pathOf,
  STATE_WORDS,
  stack,
} from "./shape"
import classes from "./TrendChart.module.css"
import { TrendTip } from "./TrendTip"

const HEIGHT = 264
const MARGIN = { top: 12, right: 4, bottom: 24, left: 48 }
const LABEL_WIDTH = 62

export interface TrendChartProps {
  columns: Column[]
  lines: ChartLine[]
  guides: Guide[]
  label: string
  format: Format
  /** What to call a column: under it, and in full. */
  short: (bucket: Bucket) => string
  full: (bucket: Bucket) => string
  /** Goes into a column's days. */
  choose?: ((bucket: Bucket) => void) | undefined
}

/** Stacked columns. By keyboard it is a slider over the columns, whose words are those of the tip. */
export default function TrendChart(props: TrendChartProps) {
  const { columns, lines, guides, format, short, full, choose } = props
  const { ref, width } = useElementSize()
  const [at, setAt] = useState<number | null>(null)
  const [touched, setTouched] = useState<number | null>(null)
  const id = useId()
  const inner = Math.max(0, width - MARGIN.left - MARGIN.right)
  const floor = HEIGHT - MARGIN.bottom
  const values = guides.flatMap((guide) => guide.values).flatMap((value) => (value === null ? [] : [toLength(value)]))
  const y = scaleLinear().domain(extent(columns, values)).nice(5).range([floor, MARGIN.top])
  const x = scaleBand<number>()
    .domain(columns.map((_, place) => place))
    .range([MARGIN.left, MARGIN.left + inner])
    .paddingInner(columns.length > 60 ? 0.1 : 0.25)
    .paddingOuter(0.1)
  const barWidth = Math.min(x.bandwidth(), 56)
  const left = (place: number) => (x(place) ?? 0) + (x.bandwidth() - barWidth) / 2
  const every = labelEvery(columns.length, inner, LABEL_WIDTH)
  const shown = at === null ? undefined : columns[at]

  const move = (event: PointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect()
    const place = Math.floor((event.clientX - box.left - MARGIN.left) / x.step())
    setAt(place >= 0 && place < columns.length ? place : null)
  }
  // A first touch shows a column, a second one goes into it.
  const touch = (event: PointerEvent<HTMLElement>) => {
    if (event.pointerType === "mouse") return
    setTouched(at)
    move(event)
  }
  const click = ({ nativeEvent }: MouseEvent<HTMLElement>) => {
    const isFirst = "pointerType" in nativeEvent && nativeEvent.pointerType === "touch" && touched !== at
    if (shown && !isFirst) choose?.(shown.bucket)
  }
  const press = (event: KeyboardEvent<HTMLElement>) => {
    const last = columns.length - 1
    const steps: Record<string, number> = {
      ArrowRight: Math.min((at ?? -1) + 1, last),
      ArrowUp: Math.min((at ?? -1) + 1, last),
      ArrowLeft: Math.max((at ?? last + 1) - 1, 0),
      ArrowDown: Math.max((at ?? last + 1) - 1, 0),
      Home: 0,
      End: last,
    }
    const next = steps[event.key]
    if (next !== undefined) setAt(next)
    else if (event.key === "Escape") setAt(null)
    else if (event.key === "Enter" && shown && choose) choose(shown.bucket)
    else return
    event.preventDefault()
  }

  return (
    <div
      ref={ref}
      className={classes.chart}
      data-choosable={choose !== undefined}
      role="slider"
      tabIndex={0}
      aria-label={props.label}
      aria-orientation="horizontal"
      aria-valuemin={1}
      aria-valuemax={columns.length}
      aria-valuenow={(at ?? 0) + 1}
      aria-valuetext={
        shown
          ? say(shown, props)
          : `${columns.length} columns. Arrow keys go through them${choose ? ", Enter goes into one" : ""}.`
      }
      onPointerMove={move}
      onPointerDown={touch}
      onPointerLeave={({ pointerType }) => pointerType === "mouse" && setAt(null)}
      onBlur={() => setAt(null)}
      onKeyDown={press}
      onClick={click}
    >
      {width > 0 && (
        <svg width={width} height={HEIGHT} aria-hidden="true">
          <defs>
            <pattern id={`${id}-gap`} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <line className={classes.gapLine} x1="0" y1="0" x2="0" y2="6" />
            </pattern>
          </defs>
          {y.ticks(5).map((tick) => (
            <g key={tick} transform={`translate(0 ${y(tick)})`}>
              <line className={classes.grid} x1={MARGIN.left} x2={width - MARGIN.right} data-zero={tick === 0} />
              <text className={classes.tick} x={MARGIN.left - 8} dy="0.32em" textAnchor="end">
                {format.compact(String(tick))}
              </text>
            </g>
          ))}
          {at !== null && (
            <rect
              className={classes.highlight}
              x={(x(at) ?? 0) - (x.step() - x.bandwidth()) / 2}
              width={x.step()}
              y={MARGIN.top}
              height={floor - MARGIN.top}
            />
          )}
          {columns.map(({ bucket, parts }, place) => (
            <g key={bucket.start_at} data-state={bucket.state}>
              {bucket.state === "missing" && (
                <rect
                  className={classes.gap}
                  fill={`url(#${id}-gap)`}
                  x={left(place)}
                  width={barWidth}
                  y={MARGIN.top}
                  height={floor - MARGIN.top}
                />
              )}
              {bucket.state !== "future" &&
                stack(parts).map(
                  ({ line, from, to }) =>
                    to > from && (
                      <rect
                        key={line}
                        className={classes.bar}
                        data-state={bucket.state}
                        fill={lines[line]?.color}
                        x={left(place)}
                        width={barWidth}
                        y={y(to)}
                        height={Math.max(0.5, y(from) - y(to) - (y(from) - y(to) > 3 ? 1 : 0))}
                      />
                    ),
                )}
              {place % every === 0 && (
                <text
                  className={classes.tick}
                  x={Math.min(left(place) + barWidth / 2, width - LABEL_WIDTH / 2 + 8)}
                  y={HEIGHT - 6}
                  textAnchor="middle"
                >
                  {short(bucket)}
                </text>
              )}
            </g>
          ))}
          {guides.map((guide) => (
            <path
              key={guide.name}
              className={classes.guide}
              data-kind={guide.kind}
              d={pathOf(
                guide,
                (place) => (x(place) ?? 0) - (x.step() - x.bandwidth()) / 2,
                x.step(),
                (value) => y(value),
              )}
            />
          ))}
        </svg>
      )}
      {shown && at !== null && (
        <TrendTip
          column={shown}
          lines={lines}
          guides={guides.map(({ name, values }) => ({ name, value: values[at] ?? null }))}
          title={full(shown.bucket)}
          format={format}
          left={left(at) + barWidth / 2}
          width={width}
        />
      )}
    </div>
  )
}

function say({ bucket, parts, total }: Column, { lines, guides, full, format, columns }: TrendChartProps): string {
  const isKnown = bucket.state === "complete" || bucket.state === "partial"
  const place = columns.findIndex((column) => column.bucket === bucket)
  const known = isKnown ? parts.map((part, line) => `${lines[line]?.name} ${format.column(part)}`) : []
  const others = guides.flatMap(({ name, values }) => {
    const value = values[place]
    return value ? [`${name} ${format.column(value)}`] : []
  })
  return [
    `${full(bucket)}: ${isKnown ? `${format.column(total)} credits ` : ""}${STATE_WORDS[bucket.state]}`,
    ...known,
    ...others,
  ].join(", ")
}
