import type { Schemas } from "../../api/client"

type Firing = Schemas["UsageFiring"] | Schemas["BudgetFiring"]

/** Firings of one credit period or month. */
export interface PeriodGroup {
  id: string
  period: Schemas["Period"] | null
  firings: Firing[]
}

/** Firings by their credit period or month, the latest first. */
export function periodGroupsOf(firings: Firing[]): PeriodGroup[] {
  const groups = new Map<string, PeriodGroup>()
  for (const firing of firings) {
    const period = "credit_period" in firing ? firing.credit_period : null
    const id = "month" in firing ? firing.month : `${firing.credit_period.id} ${firing.credit_period.from}`
    const group = groups.get(id) ?? { id, period, firings: [] }
    group.firings.push(firing)
    groups.set(id, group)
  }
  return [...groups.values()].reverse()
}

export interface Mail {
  threshold: number
  on: string
  /** Lower thresholds met on the same day; one mail covers all of them. */
  others: number[]
}

export function mailsOf({ firings }: PeriodGroup): Mail[] {
  return firings
    .filter(({ notification }) => notification === "sent")
    .map(({ threshold, on }) => ({
      threshold,
      on,
      others: firings.filter((one) => one.notification === "bundled" && one.on === on).map((one) => one.threshold),
    }))
}
