import type { Schemas } from "../api/client"
import { compare, fraction, fractionOf, isZero, subtract } from "../format/credits"
import type { Format } from "../format/format"

/** Usage compared with an even use of the credits over the period. */
export interface Pace {
  /** Credits that an even pace would have used by now. */
  even: string
  /** The difference between usage and the even pace, never negative. */
  apart: string
  is: "ahead" | "behind" | "even"
}

export function paceOf({ credits_used, credits_available, period_elapsed }: Schemas["Overview"]): Pace | null {
  if (credits_available === null || period_elapsed === null) return null
  const even = fractionOf(credits_available, period_elapsed)
  const order = compare(credits_used, even)
  if (order === 0) return { even, apart: "0.000000", is: "even" }
  return order > 0
    ? { even, apart: subtract(credits_used, even), is: "ahead" }
    : { even, apart: subtract(even, credits_used), is: "behind" }
}

/** Whether the shared pool, which is not used up, covers the product's usage beyond its own amount. */
export function isCovered({ overage }: Schemas["Overview"]): boolean {
  return isZero(overage)
}

/** A sentence about the current usage, for screen readers. */
export function describeUsage({ credits_used, credits_available }: Schemas["Overview"], format: Format): string {
  if (credits_available === null) return `Credits used: ${format.credits(credits_used)}.`
  const { used, available, percent, over } = format.level(credits_used, credits_available)
  return `Credits used: ${used} of ${available}${percent ? ` (${percent})` : ""}${over ? `, ${over} over` : ""}.`
}

/** A bar's lengths as fractions of its width. The width is the contracted amount, or usage if that is more. */
export interface Bar {
  used: number
  overage: number
  /** The end of the contracted amount; null without one. */
  limit: number | null
}

export function barOf({ used, contracted, overage }: Schemas["ProductCredits"], scale: string): Bar {
  if (contracted === null) return { used: lengthOf(used, scale), overage: 0, limit: null }
  const over = overage ?? "0"
  const width = isZero(over) ? contracted : used
  return {
    used: lengthOf(subtract(used, over), width),
    overage: lengthOf(over, width),
    limit: isZero(over) ? 1 : lengthOf(contracted, width),
  }
}

/** A length as a fraction; negative usage, which corrections can cause, has length 0. */
export function lengthOf(part: string, whole: string): number {
  return Math.min(1, Math.max(0, Number(fraction(part, whole))))
}
