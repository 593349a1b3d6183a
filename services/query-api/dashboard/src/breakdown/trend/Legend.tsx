import type { ChartLine, Column, Guide } from "../../charts/shape"
import classes from "./UsageTrend.module.css"

interface Props {
  lines: ChartLine[]
  guides: Guide[]
  columns: Column[]
}

/** Explains colours, lines and patterns. */
export function Legend({ lines, guides, columns }: Props) {
  const has = (state: Column["bucket"]["state"]) => columns.some(({ bucket }) => bucket.state === state)
  return (
    <ul className={classes.legend}>
      {lines.map(({ key, name, color }) => (
        <li key={key}>
          <span className={classes.swatch} style={{ background: color }} aria-hidden="true" />
          {name}
        </li>
      ))}
      {guides.map(
        ({ name, kind }) =>
          kind !== "low" && (
            <li key={name}>
              <span className={classes.dash} data-kind={kind} aria-hidden="true" />
              {kind === "high" ? "8 of 10 projections" : name}
            </li>
          ),
      )}
      {has("partial") && (
        <li>
          <span className={classes.swatch} data-partial="true" aria-hidden="true" />
          In progress
        </li>
      )}
      {has("missing") && (
        <li>
          <span className={classes.swatch} data-missing="true" aria-hidden="true" />
          No data yet
        </li>
      )}
    </ul>
  )
}
