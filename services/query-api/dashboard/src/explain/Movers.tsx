import { IconArrowDownRight, IconArrowUpRight } from "@tabler/icons-react"
import { toMicro } from "../format/credits"
import { useFormat } from "../format/useFormat"
import classes from "./Explain.module.css"
import { type Contributor, keyOfContributor, nameOf } from "./parts"
import { useSigned } from "./useSigned"

/** The features and agents whose credits changed most. */
export function Movers({ movers }: { movers: Contributor[] }) {
  const format = useFormat()
  const signed = useSigned()
  if (movers.length === 0) return null
  return (
    <section aria-labelledby="explain-movers" data-testid="explain-movers">
      <h3 id="explain-movers" className={classes.heading}>
        Top movers
      </h3>
      <ul className={classes.movers}>
        {movers.map((each) => {
          const Icon = toMicro(each.amount) > 0n ? IconArrowUpRight : IconArrowDownRight
          return (
            <li key={keyOfContributor(each)}>
              <Icon size={15} stroke={1.8} aria-hidden="true" />
              <span>{nameOf(each)}</span>
              <strong>{signed(each.amount)}</strong>
              <small>
                {format.credits(each.credits_before)} → {format.credits(each.credits)}
              </small>
            </li>
          )
        })}
      </ul>
    </section>
  )
}
