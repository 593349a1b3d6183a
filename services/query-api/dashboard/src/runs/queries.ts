import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query"
import { api, bodyOf } from "../api/client"
import { compact, rangeOf, type UrlState, whoOf } from "../url/urlState"

const PAGE = 25
const USES = 200

export function runsQuery(url: UrlState) {
  const { membership: _now, ...who } = whoOf(url)
  const query = { ...rangeOf(url), ...who, ...compact({ agent: url.agent }), limit: PAGE }
  return infiniteQueryOptions({
    queryKey: ["runs", query],
    queryFn: ({ signal, pageParam }) =>
      bodyOf(
        api.GET("/api/v1/usage/runs", {
          params: { query: { ...query, ...(pageParam && { cursor: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  })
}

/** One run, by its key. */
export function runQuery(key: string) {
  return infiniteQueryOptions({
    queryKey: ["run", key],
    queryFn: ({ signal, pageParam }) =>
      bodyOf(
        api.GET("/api/v1/usage/runs/{run_id}", {
          params: { path: { run_id: key }, query: { limit: USES, ...(pageParam && { cursor: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
  })
}

/** What happened to one event, by the key of a use. */
export function receiptQuery(key: string) {
  return queryOptions({
    queryKey: ["receipt", key],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/receipt", { params: { query: { key } }, signal })),
  })
}
