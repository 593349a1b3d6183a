import { queryOptions } from "@tanstack/react-query"
import { api, bodyOf, type Schemas } from "../api/client"
import { type UrlState, whoOf } from "../url/urlState"
import { findName } from "./names"

type PeopleMode = Schemas["People"]["people_mode"]

/** The name of the actor or group by which the page filters; the id if it has none or is not shown. */
export function whoNameQuery(kind: "actor" | "group", id: string, url: UrlState, mode: PeopleMode | undefined) {
  const by = kind === "actor" ? ("person" as const) : ("group" as const)
  const { membership } = whoOf(url)
  // All time, so that a change of the range does not change the name.
  const query = { range: "all" as const, by, [kind]: id, limit: 20, ...(membership && { membership }) }
  return queryOptions({
    queryKey: ["who-name", kind, id, mode],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/usage/people", { params: { query }, signal })),
    select: ({ rows }) => findName(rows, id),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  })
}
