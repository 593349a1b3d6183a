import { UnstyledButton } from "@mantine/core"
import type { Format } from "../format/format"
import { CellHints } from "../ui/CellHints"
import { ScrollRegion } from "../ui/ScrollRegion"
import { type Bucket, type ChartLine, type Column, type Guide, STATE_WORDS } from "./shape"
import classes from "./TrendTable.module.css"

interface Props {
  columns: Column[]
  lines: ChartLine[]
  guides: Guide[]
  caption: string
  full: (bucket: Bucket) => string
  format: Format
  /** Explains why a row differs from the one before. */
  explain?: ((bucket: Bucket) => void) | undefined
}

/** The chart's numbers, newest first. */
export function TrendTable({ columns, lines, guides, caption, full, format, explain }: Props) {
  const begun = columns
    .map((column, place) => ({ ...column, guided: guides.map(({ values }) => values[place] ?? null) }))
    .filter(({ bucket }) => bucket.state !== "future")
    .reverse()
  return (
    <ScrollRegion className={classes.scroll} label={caption}>
      <CellHints>
        <table className={classes.table} data-testid="trend-table">
          <caption className="visually-hidden">{caption}</caption>
          <thead>
            <tr>
              <th scope="col">When</th>
              {lines.map(({ key, name }) => (
                <th key={key} scope="col">
                  {name}
                </th>
              ))}
              <th scope="col">Total</th>
              {guides.map(({ name }) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {begun.map(({ bucket, parts, total, guided }) => (
              <tr key={bucket.start_at}>
                <th scope="row">
                  {full(bucket)}
                  {bucket.state !== "complete" && <span className={classes.state}>{STATE_WORDS[bucket.state]}</span>}
                  {explain && bucket.state !== "missing" && (
                    <UnstyledButton
                      className={classes.explain}
                      aria-label={`Why? ${full(bucket)}`}
                      onClick={() => explain(bucket)}
                    >
                      Why?
                    </UnstyledButton>
                  )}
                </th>
                {parts.map((part, line) => (
                  <td key={lines[line]?.key} data-hint={format.exact(part)}>
                    {bucket.state === "missing" ? "–" : format.column(part)}
                  </td>
                ))}
                <td className={classes.total} data-hint={format.exact(total)}>
                  {bucket.state === "missing" ? "–" : format.column(total)}
                </td>
                {guided.map((value, guide) => (
                  <td key={guides[guide]?.name}>{value === null ? "–" : format.column(value)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </CellHints>
    </ScrollRegion>
  )
}
