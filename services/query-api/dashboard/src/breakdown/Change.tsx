import { useFormat } from "../shell/useFormat"
import classes from "./Summary.module.css"

/** Against the range before. Neither more nor less is good or bad by itself, so no colour says so. */
export function Change({ change, previous }: { change: string | null; previous: string | null }) {
  const format = useFormat()
  if (previous === null) return <span className={classes.none}>–</span>
  if (change === null) return <span title="Nothing was used in the range before">New</span>
  return (
    <span className={classes.change} title={`${format.exact(previous)} in the range before`}>
      {format.change(change)}
    </span>
  )
}
