import { queryOptions } from "@tanstack/react-query"
import type { Budget } from "../charts/budget"

interface Settings {
  monthly_budget: {
    enabled: boolean
    type: Budget["type"]
    credits: string | null
    month: string | null
    resumes: string | null
  }
}

/** The monthly budget, for the chart; null without one, and where alerts cannot be set. */
export const budgetQuery = queryOptions({
  queryKey: ["budget"],
  queryFn: async ({ signal }): Promise<Budget | null> => {
    const answer = await fetch("/api/v1/alerts/settings", { signal })
    if (!answer.ok) return null
    const { monthly_budget }: Settings = await answer.json()
    const { enabled, type, credits, month, resumes } = monthly_budget
    return enabled && credits !== null ? { type, credits, month, resumes } : null
  },
})
