import type { Schemas } from "../api/client"
import { toMicro } from "../format/credits"
import { useFormat } from "../format/useFormat"
import classes from "./People.module.css"
import { bandName } from "./table/rows"

/** How much of people's usage each band of people has, from those who use most. */
export function Distribution({ bands }: { bands: Schemas["PeopleBand"][] }) {
  const format = useFormat()
  const shown = bands.filter(({ people }) => people > 0)
  if (shown.length === 0) return null
  return (
    <section className={classes.insight} aria-labelledby="bands-title" data-testid="bands">
      <h3 id="bands-title">Distribution</h3>
      <ul className={classes.bands}>
        {shown.map((band) => (
          <li key={band.to_percent}>
            <span>{bandName(band)}</span>
            <span className={classes.bar} aria-hidden="true">
              <i style={{ width: `${Math.max(0, Number(band.share)) * 100}%` }} />
            </span>
            <strong>{format.share(band.share)}</strong>
            <small>
              {format.count(band.people)} {band.people === 1 ? "person" : "people"}
              {band.least !== null && toMicro(band.least) > 0n && `, ${format.credits(band.least)} credits or more`}
            </small>
          </li>
        ))}
      </ul>
    </section>
  )
}
