import { IconArrowDownRight, IconArrowUpRight } from "@tabler/icons-react"
import type { Schemas } from "../api/client"
import { toMicro } from "../format/credits"
import { useFormat } from "../format/useFormat"
import classes from "./People.module.css"

const SHOWN = 5

interface Props {
  movers: Schemas["PeopleMover"][]
  previous: Schemas["DateRange"] | null
}

/** The rows whose usage changed most. */
export function Movers({ movers, previous }: Props) {
  const format = useFormat()
  if (movers.length === 0 || !previous) return null
  return (
    <section className={classes.insight} aria-labelledby="movers-title" data-testid="movers">
      <h3 id="movers-title">
        Top movers <small>vs. {format.days(previous.from, previous.to)}</small>
      </h3>
      <ul className={classes.movers}>
        {movers.slice(0, SHOWN).map(({ kind, id, name, credits, previous: before, difference }) => {
          const rises = toMicro(difference) > 0n
          const Icon = rises ? IconArrowUpRight : IconArrowDownRight
          return (
            <li key={`${kind}:${id}`}>
              <Icon size={15} stroke={1.8} aria-hidden="true" />
              <span>{name}</span>
              <strong>
                {rises ? "+" : "−"}
                {format.credits(difference.replace("-", ""))}
              </strong>
              <small>
                {format.credits(before)} → {format.credits(credits)}
              </small>
            </li>
          )
        })}
      </ul>
    </section>
  )
}
