import { memo, useId } from "react"
import type { Format } from "../format/format"
import { barsOf, HEIGHT, MARGIN, type Scales } from "./scales"
import { areaOf, type Bucket, type ChartLine, type Column, type Guide, labelEvery, pathOf } from "./shape"
import classes from "./TrendChart.module.css"

const LABEL_WIDTH = 62

interface Props {
  columns: Column[]
  lines: ChartLine[]
  guides: Guide[]
  scales: Scales
  format: Format
  short: (bucket: Bucket) => string
}

/** The parts that do not change while the user points at a column. One path per line: boxes for years of days would be too many. */
export const Drawing = memo(function Drawing({ columns, lines, guides, scales, format, short }: Props) {
  const id = useId()
  const { width, x, y, edge, middle, barWidth } = scales
  const every = labelEvery(columns.length, width - MARGIN.left - MARGIN.right, LABEL_WIDTH)
  const floor = HEIGHT - MARGIN.bottom
  const [low, high] = [guides.find(({ kind }) => kind === "low"), guides.find(({ kind }) => kind === "high")]
  return (
    <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} aria-hidden="true">
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
      {columns.map(
        ({ bucket }, place) =>
          bucket.state === "missing" && (
            <rect
              key={bucket.start_at}
              className={classes.gap}
              fill={`url(#${id}-gap)`}
              x={middle(place) - barWidth / 2}
              width={barWidth}
              y={MARGIN.top}
              height={floor - MARGIN.top}
            />
          ),
      )}
      {lines.map(({ key, color }, line) => (
        <g key={key} fill={color}>
          <path className={classes.bar} d={barsOf(columns, line, scales, "ended")} />
          <path className={classes.bar} data-state="partial" d={barsOf(columns, line, scales, "partial")} />
        </g>
      ))}
      {columns.map(
        ({ bucket }, place) =>
          place % every === 0 && (
            <text
              key={bucket.start_at}
              className={classes.tick}
              x={Math.min(middle(place), width - LABEL_WIDTH / 2 + 8)}
              y={HEIGHT - 6}
              textAnchor="middle"
            >
              {short(bucket)}
            </text>
          ),
      )}
      {low && high && (
        <path
          className={classes.band}
          data-testid="projected-band"
          d={areaOf(low, high, edge, x.step(), (value) => y(value))}
        />
      )}
      {guides.map(
        (guide) =>
          guide !== low &&
          guide !== high && (
            <path
              key={guide.name}
              className={classes.guide}
              data-kind={guide.kind}
              d={pathOf(guide, edge, x.step(), (value) => y(value))}
            />
          ),
      )}
    </svg>
  )
})
