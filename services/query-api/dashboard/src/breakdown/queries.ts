import { keepPreviousData, queryOptions } from "@tanstack/react-query"
import { api, bodyOf } from "../api/client"
import type { UrlState } from "../url/urlState"
import { apiQuery } from "../url/urlState"

const SERIES = 7

export function breakdownQuery(url: UrlState) {
  const query = apiQuery(url)
  return queryOptions({
    queryKey: ["breakdown", query],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/breakdown", { params: { query }, signal })),
    placeholderData: keepPreviousData,
  })
}

export function trendQuery(url: UrlState) {
  const { product, view: shown, group_by, surface, categories, ...range } = apiQuery(url)
  const whole = url.scope === "all"
  const query = {
    ...range,
    ...(whole ? {} : { product, view: shown, ...(surface && { surface }), ...(categories && { categories }) }),
    ...(url.interval && { interval: url.interval }),
    group_by: whole ? ("product" as const) : group_by ? ("surface" as const) : GROUP_OF[shown],
    top: SERIES,
  }
  return queryOptions({
    queryKey: ["trend", query],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/trend", { params: { query }, signal })),
    placeholderData: keepPreviousData,
  })
}

/** The chart's series correspond to the table's rows. */
const GROUP_OF = {
  models: "feature",
  tools: "category",
  other_features: "category",
  agents: "agent",
  features: "category",
  namespaces: "feature",
} as const
