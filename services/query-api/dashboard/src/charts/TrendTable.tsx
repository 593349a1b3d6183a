import { UnstyledButton } from "@mantine/core"
import type { Format } from "../format/format"
import { CellHints } from "../ui/CellHints"
import { ScrollRegion } from "../ui/ScrollRegion"
import { type Bucket, type ChartLine, type Column, type Guide, isKnown, STATE_WORDS } from "./shape"
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

/** The chart's numbers, newest first. Rows that have not started have only what is projected. */
export function TrendTable({ columns, lines, guides, caption, full, format, explain }: Props) {
  const isProjected = (place: number) =>
    guides.some(({ kind, values }) => kind === "projection" && values[place] != null)
  const rows = columns
    .map((column, place) => ({ ...column, place }))
    .filter(({ bucket, place }) => bucket.state !== "future" || isProjected(place))
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
            {rows.map(({ bucket, parts, total, place }) => (
              <tr key={bucket.start_at}>
                <th scope="row">
                  {full(bucket)}
                  {bucket.state !== "complete" && <span className={classes.state}>{STATE_WORDS[bucket.state]}</span>}
                  {explain && isKnown(bucket) && (
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
                  <td key={lines[line]?.key} data-hint={isKnown(bucket) ? format.exact(part) : undefined}>
                    {isKnown(bucket) ? format.column(part) : "–"}
                  </td>
                ))}
                <td className={classes.total} data-hint={isKnown(bucket) ? format.exact(total) : undefined}>
                  {isKnown(bucket) ? format.column(total) : "–"}
                </td>
                {guides.map(({ name, values }) => (
                  <td key={name}>{values[place] == null ? "–" : format.column(values[place])}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </CellHints>
    </ScrollRegion>
  )
}
