import { fromMicro, toMicro } from "../credits"
import { addMonths, countDays, endOf, monthOf } from "../dates"

/** What the settings say about the monthly budget. */
export interface Budget {
  type: "recurring" | "one_time"
  credits: string
  /** Of a one-time budget: the month that it holds for. */
  month: string | null
  /** The recurring budget that holds in all other months. */
  resumes: string | null
}

function ofMonth(budget: Budget, month: string): bigint | null {
  if (budget.type === "recurring" || budget.month === month) return toMicro(budget.credits)
  return budget.resumes === null ? null : toMicro(budget.resumes)
}

/** The budget for days: of each month as much as the days are of it. Null where a month has none. */
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
