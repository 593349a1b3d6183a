import type { Column } from "../charts/shape"
import type { Guide } from "../charts/TrendChart"
import classes from "./UsageTrend.module.css"

interface Props {
  names: string[]
  colors: string[]
  guides: Guide[]
  columns: Column[]
}

/** What colours, lines and patterns mean. */
export function Legend({ names, colors, guides, columns }: Props) {
  const has = (state: Column["bucket"]["state"]) => columns.some(({ bucket }) => bucket.state === state)
  return (
    <ul className={classes.legend}>
      {names.map((name, line) => (
        <li key={name}>
          <span className={classes.swatch} style={{ background: colors[line] }} aria-hidden="true" />
          {name}
        </li>
      ))}
      {guides.map(({ name, kind }) => (
        <li key={name}>
          <span className={classes.dash} data-kind={kind} aria-hidden="true" />
          {name}
        </li>
      ))}
      {has("partial") && (
        <li>
          <span className={classes.swatch} data-partial="true" aria-hidden="true" />
          still going on
        </li>
      )}
      {has("missing") && (
        <li>
          <span className={classes.swatch} data-missing="true" aria-hidden="true" />
          no data yet
        </li>
      )}
    </ul>
  )
}
