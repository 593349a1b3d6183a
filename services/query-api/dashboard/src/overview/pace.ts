import type { Schemas } from "../api/client"
import { compare, fraction, fractionOf, isZero, subtract } from "../format/credits"
import type { Format } from "../format/format"

/** How usage compares with using the credits evenly over the period. */
export interface Pace {
  /** What an even pace would have used by now. */
  even: string
  /** How far usage is from it, never negative. */
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

/** Whether what a product used beyond its own amount is covered, since the pool of all products is not used up. */
export function isCovered({ overage }: Schemas["Overview"]): boolean {
  return isZero(overage)
}

/** Where usage has come to, in a sentence for those who do not see the cards. */
export function sayUsed({ credits_used, credits_available }: Schemas["Overview"], format: Format): string {
  if (credits_available === null) return `Credits used: ${format.credits(credits_used)}.`
  const { used, available, percent, over } = format.level(credits_used, credits_available)
  return `Credits used: ${used} of ${available}${percent ? ` (${percent})` : ""}${over ? `, ${over} over` : ""}.`
}

/** The lengths of a bar as fractions of its whole width, which is the contracted amount, or usage where that is more. */
export interface Bar {
  used: number
  overage: number
  /** Where the contracted amount ends; null without one. */
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

/** A fraction for the screen; usage that corrections took below zero has no length. */
export function lengthOf(part: string, whole: string): number {
  return Math.min(1, Math.max(0, Number(fraction(part, whole))))
}
