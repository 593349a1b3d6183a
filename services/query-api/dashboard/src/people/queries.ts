import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query"
import { api, bodyOf, type Schemas } from "../api/client"
import { type By, compact, rangeOf, type UrlState, whoOf } from "../url/urlState"
import type { Driven } from "../who/driven"

const PAGE = 50
const DRIVERS = 20

export type PeopleMode = Schemas["SessionResponse"]["people"]

/** By what the tab People divides usage. A label needs its key; single people may not be shown. */
export function viewOf(url: UrlState, mode: PeopleMode): { by: By; label_key?: string } {
  if (url.by === "label" && url.label_key) return { by: "label", label_key: url.label_key }
  return { by: mode === "groups_only" || url.by === "group" ? "group" : "person" }
}

export function peopleQuery(url: UrlState, mode: PeopleMode) {
  const { product, surface } = url
  const filters = compact({ product, surface, search: url.q?.trim() || undefined })
  const query = { ...rangeOf(url), ...whoOf(url), ...viewOf(url, mode), ...filters, limit: PAGE }
  return infiniteQueryOptions({
    queryKey: ["people", query],
    queryFn: ({ signal, pageParam }) =>
      bodyOf(
        api.GET("/api/v1/usage/people", {
          params: { query: { ...query, ...(pageParam && { after: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  })
}

/** Who uses an agent or a feature, in the range and with the filters of the page. */
export function driversQuery(url: UrlState, driven: Driven, by: "person" | "group") {
  const { surface } = url
  const query = { ...rangeOf(url), ...whoOf(url), ...compact({ surface }), ...driven, by, limit: DRIVERS }
  return queryOptions({
    queryKey: ["drivers", query],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/usage/drivers", { params: { query }, signal })),
    placeholderData: keepPreviousData,
  })
}
