import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query"
import { api, bodyOf, done, Refusal, type Schemas } from "../../api/client"
import { WATCH_MAIL_EVERY_MS } from "../queries"

const PAGE = 10
const WATCH_DELIVERIES_EVERY_MS = 5_000

export type Channel = Schemas["ChannelResponse"]

export const KINDS = { webhook: "Webhook", slack: "Slack" } as const

export const CONTENT_TYPES = { "application/json": "JSON", "application/cloudevents+json": "CloudEvents" } as const

export const channelsQuery = queryOptions({
  queryKey: ["alert-channels"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/alert-channels", { signal })),
  staleTime: 0,
})

export function channelDeliveriesQuery(id: string) {
  return infiniteQueryOptions({
    queryKey: ["channel-deliveries", id],
    queryFn: ({ signal, pageParam }) =>
      bodyOf(
        api.GET("/api/v1/alert-channels/{id}/deliveries", {
          params: { path: { id }, query: { limit: PAGE, ...(pageParam && { before: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
    refetchInterval: ({ state }) =>
      state.data?.pages.some((page) => page.deliveries.some((one) => one.state === "pending"))
        ? WATCH_MAIL_EVERY_MS
        : WATCH_DELIVERIES_EVERY_MS,
    staleTime: 0,
  })
}

export function addChannel(body: Schemas["ChannelRequest"]) {
  return bodyOf(api.POST("/api/v1/alert-channels", { body }))
}

export function removeChannel(id: string) {
  return done(api.DELETE("/api/v1/alert-channels/{id}", { params: { path: { id } } }))
}

export function testChannel(id: string) {
  return bodyOf(api.POST("/api/v1/alert-channels/{id}/test", { params: { path: { id } } }))
}

/** The server's error for a field, as a sentence; undefined if the error is about something else. */
export function mistakeOf(error: Error | null, field: "name" | "url"): string | undefined {
  const errors = (error instanceof Refusal && error.problem.errors) || []
  const detail = errors.find(({ pointer }) => pointer === `/${field}`)?.detail
  return detail && `${field === "name" ? "The name" : "The URL"} ${detail}.`
}
