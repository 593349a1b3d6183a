import { queryOptions } from "@tanstack/react-query"
import { api, bodyOf } from "../api/client"

/** The projection of the current credit period. It changes from day to day, so that it is not fetched with each use. */
export const projectionQuery = queryOptions({
  queryKey: ["projection"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/projection", { signal })),
  staleTime: 5 * 60_000,
})
