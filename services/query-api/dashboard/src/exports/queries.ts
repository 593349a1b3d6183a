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
    staleTime: 0,
  })
}
