import type { Schemas } from "../api/client"
import { todayIn } from "../format/dates"
import { useFormat } from "../format/useFormat"
import { barsOf } from "./days"
import classes from "./MyUsage.module.css"

/** Credits per day or month as bars; the same as a list for screen readers. */
export function DayBars({ usage }: { usage: Schemas["MyUsage"] }) {
  const format = useFormat()
  const bars = barsOf(usage.days, usage.range, todayIn(format.timeZone))
  const nameOf = (at: string) => (at.length === 7 ? format.month(at) : format.weekday(at))
  const [first, last] = [bars[0], bars.at(-1)]
  return (
    <figure className={classes.days}>
      <ol aria-label="Credits over time">
        {bars.map(({ at, credits, height }) => (
          <li key={at} title={`${nameOf(at)}: ${format.credits(credits)}`}>
            <span style={{ height: `${height * 100}%` }} />
            <span className="visually-hidden">
              {nameOf(at)}: {format.credits(credits)}
            </span>
          </li>
        ))}
      </ol>
      <figcaption aria-hidden="true">
        <span>{first && nameOf(first.at)}</span>
        <span>{last && last !== first && nameOf(last.at)}</span>
      </figcaption>
    </figure>
  )
}
