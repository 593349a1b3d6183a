import { UnstyledButton } from "@mantine/core"
import { type KeyboardEvent, type MouseEvent, type PointerEvent, useMemo, useState } from "react"
import type { Format } from "../format/format"
import { Drawing } from "./Drawing"
import { MARGIN, scalesOf } from "./scales"
import { type Bucket, type ChartLine, type Column, type Guide, isKnown, STATE_WORDS } from "./shape"
import classes from "./TrendChart.module.css"
import { TrendTip } from "./TrendTip"
import { useChartWidth } from "./useChartWidth"

export interface TrendChartProps {
  columns: Column[]
  lines: ChartLine[]
  guides: Guide[]
  label: string
  format: Format
  /** A column's labels: short (under it) and full. */
  short: (bucket: Bucket) => string
  full: (bucket: Bucket) => string
  /** Zooms into a column's days. */
  choose?: ((bucket: Bucket) => void) | undefined
  /** Explains why a column differs from the one before. */
  explain?: ((bucket: Bucket) => void) | undefined
}

/** Stacked columns. For the keyboard it is a slider over the columns; its value text is the tooltip's text. */
export default function TrendChart(props: TrendChartProps) {
  const { columns, lines, guides, format, short, full, choose, explain } = props
  const { ref, width } = useChartWidth()
  const [at, setAt] = useState<number | null>(null)
  const [touched, setTouched] = useState<number | null>(null)
  const scales = useMemo(() => scalesOf(columns, guides, width), [columns, guides, width])
  const { x, edge, middle } = scales
  const shown = at === null ? undefined : columns[at]

  const move = (event: PointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect()
    const place = Math.floor((event.clientX - box.left - MARGIN.left) / x.step())
    setAt(place >= 0 && place < columns.length ? place : null)
  }
  // The first touch shows a column's tooltip, the second one zooms into it.
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
    else if (event.key === "e" && shown && explain && isKnown(shown.bucket)) explain(shown.bucket)
    else return
    event.preventDefault()
  }

  const leave = ({ pointerType, currentTarget, relatedTarget }: PointerEvent<HTMLElement>) => {
    const isInside = relatedTarget instanceof Node && currentTarget.parentElement?.contains(relatedTarget)
    if (pointerType === "mouse" && !isInside) setAt(null)
  }

  return (
    <div ref={ref} className={classes.frame}>
      <div
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
            : `${columns.length} columns. Use the arrow keys to read them${choose ? ", Enter to zoom in" : ""}${explain ? ", E to explain one" : ""}.`
        }
        onPointerMove={move}
        onPointerDown={touch}
        onPointerLeave={leave}
        onBlur={() => setAt(null)}
        onKeyDown={press}
        onClick={click}
      >
        {shown && at !== null && (
          <div
            className={classes.highlight}
            style={{ left: edge(at), width: x.step(), top: MARGIN.top, bottom: MARGIN.bottom }}
          />
        )}
        {width > 0 && (
          <Drawing columns={columns} lines={lines} guides={guides} scales={scales} format={format} short={short} />
        )}
        {shown && at !== null && (
          <TrendTip
            column={shown}
            lines={lines}
            guides={guides.map(({ name, values }) => ({ name, value: values[at] ?? null }))}
            title={full(shown.bucket)}
            format={format}
            left={middle(at)}
            width={width}
          />
        )}
      </div>
      {explain && shown && at !== null && isKnown(shown.bucket) && (
        <UnstyledButton
          className={classes.explain}
          style={{ left: middle(at) }}
          tabIndex={-1}
          onMouseDown={(event) => event.preventDefault()} // keeps the focus, so that the column stays
          onPointerLeave={leave}
          onClick={() => explain(shown.bucket)}
        >
          Why?
        </UnstyledButton>
      )}
    </div>
  )
}

function say({ bucket, parts, total }: Column, { lines, guides, full, format, columns }: TrendChartProps): string {
  const hasTotal = isKnown(bucket)
  const place = columns.findIndex((column) => column.bucket === bucket)
  const known = hasTotal ? parts.map((part, line) => `${lines[line]?.name} ${format.column(part)}`) : []
  const others = guides.flatMap(({ name, values }) => {
    const value = values[place]
    return value ? [`${name} ${format.column(value)}`] : []
  })
  return [
    `${full(bucket)}: ${hasTotal ? `${format.column(total)} credits ` : ""}${STATE_WORDS[bucket.state]}`,
    ...known,
    ...others,
  ].join(", ")
}
