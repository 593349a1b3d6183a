import type { Format } from "../format"
import { type Bucket, type Column, STATE_WORDS } from "./shape"
import classes from "./TrendTable.module.css"

interface Props {
  columns: Column[]
  names: string[]
  caption: string
  full: (bucket: Bucket) => string
  format: Format
}

/** The chart's numbers, newest first. */
export function TrendTable({ columns, names, caption, full, format }: Props) {
  const begun = columns.filter(({ bucket }) => bucket.state !== "future").reverse()
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className={classes.scroll} tabIndex={0} aria-label={caption}>
      <table className={classes.table} data-testid="trend-table">
        <caption className="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            <th scope="col">When</th>
            {names.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
            <th scope="col">Total</th>
          </tr>
        </thead>
        <tbody>
          {begun.map(({ bucket, parts, total }) => (
            <tr key={bucket.start_at}>
              <th scope="row">
                {full(bucket)}
                {bucket.state !== "complete" && <span className={classes.state}>{STATE_WORDS[bucket.state]}</span>}
              </th>
              {parts.map((part, line) => (
                <td key={names[line]}>{bucket.state === "missing" ? "–" : format.column(part)}</td>
              ))}
              <td className={classes.total}>{bucket.state === "missing" ? "–" : format.column(total)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
