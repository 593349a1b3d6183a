import type { Schemas } from "../../api/client"

type Firing = Schemas["UsageFiring"] | Schemas["BudgetFiring"]

/** What would have been told of one credit period or month. */
export interface Occasion {
  id: string
  period: Schemas["Period"] | null
  firings: Firing[]
}

/** Firings by their credit period or month, the latest first. */
export function occasionsOf(firings: Firing[]): Occasion[] {
  const occasions = new Map<string, Occasion>()
  for (const firing of firings) {
    const period = "credit_period" in firing ? firing.credit_period : null
    const id = "month" in firing ? firing.month : `${firing.credit_period.id} ${firing.credit_period.from}`
    const occasion = occasions.get(id) ?? { id, period, firings: [] }
    occasion.firings.push(firing)
    occasions.set(id, occasion)
  }
  return [...occasions.values()].reverse()
}

export interface Mail {
  threshold: number
  on: string
  /** Lower ones that were met on the same day: one mail tells of all. */
  others: number[]
}

export function mailsOf({ firings }: Occasion): Mail[] {
  return firings
    .filter(({ told }) => told === "mail")
    .map(({ threshold, on }) => ({
      threshold,
      on,
      others: firings.filter((one) => one.told === "with_higher" && one.on === on).map((one) => one.threshold),
    }))
}
