import { keepPreviousData, queryOptions } from "@tanstack/react-query"
import { api, bodyOf } from "../api/client"
import type { Range } from "../url/urlState"

export function myUsageQuery(range: Range) {
  return queryOptions({
    queryKey: ["my-usage", range],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/me/usage", { params: { query: range }, signal })),
    placeholderData: keepPreviousData,
  })
}
