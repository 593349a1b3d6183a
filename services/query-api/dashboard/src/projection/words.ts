import type { Schemas } from "../api/client"
import { isZero } from "../format/credits"
import { addDays } from "../format/dates"
import type { Format } from "../format/format"

type Projection = Schemas["ProjectionResponse"]

/** When the credits run out, as sentences; empty without credits to compare with. */
export function runOutWords(answer: Projection, format: Format): string[] {
  const { projection, refusal, available, exhausted_on, credit_period } = answer
  if (available === null) return []
  if (exhausted_on !== null) return [`The credits were used up on ${format.day(exhausted_on)}.`]
  if (refusal !== null) return [`No run-out date: ${refusal.detail}`]
  if (projection?.run_out == null) return []
  // A projection may end before a long period does.
  const isShort = credit_period !== null && projection.to < addDays(credit_period.to, -1)
  const end = isShort ? format.day(projection.to) : "the end of the period"
  return [
    dateWords(projection.run_out, projection.probability_not_in_period, end, format),
    ...expiryWords(projection, format),
  ]
}

function dateWords(
  { p10, p50, p90 }: Schemas["ProjectedDates"],
  lasts: string | null,
  end: string,
  format: Format,
): string {
  if (p10 === null) return `Projected to last to ${end}.`
  const chance = lasts === null ? "" : ` (${format.share(lasts)} of projections)`
  if (p50 === null) return `Projected to last to ${end}${chance}; 9 of 10 times not out before ${format.day(p10)}.`
  if (p90 === null)
    return `Projected to run out around ${format.day(p50)}, 9 of 10 times not before ${format.day(p10)}; may last${chance}.`
  if (p10 === p90) return `Projected to run out on ${format.day(p50)}.`
  return `Projected to run out around ${format.day(p50)}, 8 of 10 times between ${format.day(p10)} and ${format.day(p90)}.`
}

function expiryWords({ expiring_unused, run_out }: Schemas["ProjectedPeriod"], format: Format): string[] {
  if (expiring_unused === null || run_out?.p50 != null || isZero(expiring_unused.p50)) return []
  return [`About ${format.credits(expiring_unused.p50)} credits would expire unused.`]
}
