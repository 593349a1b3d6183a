import { keepPreviousData, QueryCache, QueryClient, queryOptions } from "@tanstack/react-query"
import { api, bodyOf, Refusal } from "./client"

const FRESHNESS_EVERY_MS = 5_000
const FRESHNESS_WITHIN_MS = 10_000

export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    // If any request finds that the user is signed out or has lost access, the session query is fetched once again.
    onError: (error, { queryKey }) => {
      const isRefused = error instanceof Refusal && [401, 403].includes(error.problem.status)
      if (isRefused && queryKey[0] !== "session")
        void queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey })
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      // By default, queries pause without an error while the browser reports that it is offline, and old numbers seem current.
      networkMode: "always",
      retry: (failures, error) => failures < 2 && !isFinal(error),
    },
  },
})

/** Errors that an immediate retry would not fix: a refusal or a timeout. */
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

export function reconcileQuery(creditPeriod: string | undefined) {
  const query = creditPeriod ? { credit_period: creditPeriod } : {}
  return queryOptions({
    queryKey: ["reconcile", query],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/reconcile", { params: { query }, signal })),
    placeholderData: keepPreviousData,
  })
}
