import { keepPreviousData, QueryClient, queryOptions } from "@tanstack/react-query"
import { api, bodyOf, Refusal } from "./client"

const FRESHNESS_EVERY_MS = 5_000

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      placeholderData: keepPreviousData,
      retry: (failures, error) => failures < 2 && !(error instanceof Refusal && error.problem.status < 500),
    },
  },
})

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
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/freshness", { signal })),
  refetchInterval: FRESHNESS_EVERY_MS,
  staleTime: 0,
})
