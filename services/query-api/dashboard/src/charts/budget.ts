import type { Schemas } from "../api/client"
import { fromMicro, toMicro } from "../format/credits"
import { addMonths, countDays, endOf, monthOf } from "../format/dates"

/** The budget of the settings: a one-time budget applies in its `month`; in all other months `resumes` applies. */
export type Budget = Pick<Schemas["AlertSettingsResponse"]["monthly_budget"], "type" | "month" | "resumes"> & {
  credits: string
}

/** Null without a budget. */
export function budgetIn({ monthly_budget }: Schemas["AlertSettingsResponse"]): Budget | null {
  const { enabled, type, credits, month, resumes } = monthly_budget
  return enabled && credits !== null ? { type, credits, month, resumes } : null
}

function ofMonth(budget: Budget, month: string): bigint | null {
  if (budget.type === "recurring" || budget.month === month) return toMicro(budget.credits)
  return budget.resumes === null ? null : toMicro(budget.resumes)
}

/** The budget of a range of days, prorated by month. Null if one of the months has no budget. */
export function budgetOf(budget: Budget, from: string, to: string): string | null {
  let total = 0n
  for (let month = monthOf(from); month <= monthOf(to); month = addMonths(month, 1)) {
    const credits = ofMonth(budget, month)
    if (credits === null) return null
    const [first, last] = [`${month}-01`, endOf(month)]
    const days = countDays(from > first ? from : first, to < last ? to : last)
    total += (credits * BigInt(days)) / BigInt(countDays(first, last))
  }
  return fromMicro(total)
}
