import { isZero } from "../format/credits"
import type { Format } from "../format/format"
import { type ChartLine, type Column, isKnown } from "./shape"
import classes from "./TrendTip.module.css"

interface Props {
  column: Column
  lines: ChartLine[]
  guides: { name: string; value: string | null }[]
  title: string
  format: Format
  left: number
  width: number
}

const WIDTH = 236

export function TrendTip({ column, lines, guides, title, format, left, width }: Props) {
  const { bucket, parts, total } = column
  const inset = Math.min(Math.max(0, left < width / 2 ? left + 14 : left - WIDTH - 14), Math.max(0, width - WIDTH))
  return (
    <div className={classes.tip} style={{ insetInlineStart: inset, width: WIDTH }} aria-hidden="true">
      <p className={classes.title}>
        {title}
        {bucket.state === "partial" && <span>In progress</span>}
      </p>
      {bucket.state === "missing" && <p className={classes.note}>No data yet. This is not zero usage.</p>}
      {bucket.state === "future" && <p className={classes.note}>Not started</p>}
      <ul>
        {parts.map(
          (part, line) =>
            isKnown(bucket) &&
            !isZero(part) && (
              <li key={lines[line]?.key}>
                <span className={classes.swatch} style={{ background: lines[line]?.color }} />
                <span className={classes.name}>{lines[line]?.name}</span>
                <span>{format.column(part)}</span>
              </li>
            ),
        )}
        {isKnown(bucket) && (
          <li className={classes.total}>
            <span className={classes.name}>Total</span>
            <span>{format.column(total)}</span>
          </li>
        )}
        {guides.map(
          ({ name, value }) =>
            value !== null && (
              <li key={name} className={classes.quiet}>
                <span className={classes.name}>{name}</span>
                <span>{format.column(value)}</span>
              </li>
            ),
        )}
      </ul>
    </div>
  )
}
