import { keepPreviousData, QueryCache, QueryClient, queryOptions } from "@tanstack/react-query"
import type { View } from "../view/view"
import { apiQuery } from "../view/view"
import { api, bodyOf, Refusal } from "./client"

const FRESHNESS_EVERY_MS = 5_000
const FRESHNESS_WITHIN_MS = 10_000
const SERIES = 7

export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    // Who was signed out, or may no longer look, is asked for once by the session, whatever found it out.
    onError: (error, { queryKey }) => {
      const isRefused = error instanceof Refusal && [401, 403].includes(error.problem.status)
      if (isRefused && queryKey[0] !== "session")
        void queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey })
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      // A browser that takes itself to be offline would wait in silence, under numbers that look current.
      networkMode: "always",
      retry: (failures, error) => failures < 2 && !isFinal(error),
    },
  },
})

/** Asking again at once would change nothing: refused, or waited for in vain. */
function isFinal(error: Error): boolean {
  return error.name === "TimeoutError" || (error instanceof Refusal && error.problem.status < 500)
}

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/session", { signal })),
  staleTime: 60_000,
})

export const overviewQuery = queryOptions({
  queryKey: ["overview"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/overview", { signal })),
})

export const bannerQuery = queryOptions({
  queryKey: ["banner"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/banner", { signal })),
})

export const freshnessQuery = queryOptions({
  queryKey: ["freshness"],
  queryFn: ({ signal }) =>
    bodyOf(
      api.GET("/api/v1/freshness", { signal: AbortSignal.any([signal, AbortSignal.timeout(FRESHNESS_WITHIN_MS)]) }),
    ),
  refetchInterval: FRESHNESS_EVERY_MS,
  staleTime: 0,
})

export const creditPeriodsQuery = queryOptions({
  queryKey: ["credit-periods"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/credit-periods", { signal })),
})

export function breakdownQuery(view: View) {
  const query = apiQuery(view)
  return queryOptions({
    queryKey: ["breakdown", query],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/breakdown", { params: { query }, signal })),
    placeholderData: keepPreviousData,
  })
}

export function trendQuery(view: View) {
  const { product, view: shown, group_by, surface, categories, ...range } = apiQuery(view)
  const whole = view.scope === "all"
  const query = {
    ...range,
    ...(whole ? {} : { product, view: shown, ...(surface && { surface }), ...(categories && { categories }) }),
    ...(view.interval && { interval: view.interval }),
    group_by: whole ? ("product" as const) : group_by ? ("surface" as const) : GROUP_OF[shown],
    top: SERIES,
  }
  return queryOptions({
    queryKey: ["trend", query],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/trend", { params: { query }, signal })),
    placeholderData: keepPreviousData,
  })
}

/** Lines of the chart are what the table's rows are. */
const GROUP_OF = {
  models: "feature",
  tools: "category",
  other_features: "category",
  agents: "agent",
  features: "category",
  namespaces: "feature",
} as const

export function reconcileQuery(creditPeriod: string | undefined) {
  const query = creditPeriod ? { credit_period: creditPeriod } : {}
  return queryOptions({
    queryKey: ["reconcile", query],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/reconcile", { params: { query }, signal })),
    placeholderData: keepPreviousData,
  })
}
