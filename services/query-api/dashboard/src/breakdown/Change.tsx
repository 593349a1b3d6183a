import { isZero } from "../credits"
import { useFormat } from "../shell/useFormat"
import classes from "./Summary.module.css"

interface Props {
  credits: string
  change: string | null
  previous: string | null
}

/** Against the range before. Neither more nor less is good or bad by itself, so no colour says so. */
export function Change({ credits, change, previous }: Props) {
  const format = useFormat()
  if (previous === null || (isZero(previous) && isZero(credits))) return <span className={classes.none}>–</span>
  if (change === null) return <span title="Nothing was used in the range before">New</span>
  return (
    <span className={classes.change} title={`${format.exact(previous)} in the range before`}>
      {format.change(change)}
    </span>
  )
}
