import { isZero } from "../../format/credits"
import { useFormat } from "../../format/useFormat"
import { Hint } from "../../ui/Hint"
import classes from "../Summary.module.css"

interface Props {
  credits: string
  change: string | null
  previous: string | null
  /** Makes the hint focusable by keyboard. In a table's rows, CellHints shows the hint instead. */
  explained?: boolean
}

/** The change from the previous range. It has no colour, because neither an increase nor a decrease is good or bad by itself. */
export function Change({ credits, change, previous, explained = false }: Props) {
  const format = useFormat()
  if (previous === null || (isZero(previous) && isZero(credits))) return <span className={classes.none}>–</span>
  const hint = change === null ? "No usage in the previous period" : `${format.exact(previous)} in the previous period`
  const text = change === null ? "New" : format.change(change)
  return (
    <span className={classes.change} data-hint={explained ? undefined : hint}>
      {explained ? <Hint label={hint}>{text}</Hint> : text}
    </span>
  )
}
