import { queryOptions } from "@tanstack/react-query"
import { api, bodyOf } from "../api/client"

const FILES = 20
const CHANGES = 25

export const exportsQuery = queryOptions({
  queryKey: ["exports"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/export/manifests", { params: { query: { limit: FILES } }, signal })),
  staleTime: 0,
})

export function changesQuery(id: string) {
  return queryOptions({
    queryKey: ["exports", id],
    queryFn: ({ signal }) =>
      bodyOf(
        api.GET("/api/v1/export/manifests/{export_id}/changes", {
          params: { path: { export_id: id }, query: { limit: CHANGES } },
          signal,
        }),
      ),
    // A comparison reads all lines of the file: once is enough.
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    retry: false,
  })
}
