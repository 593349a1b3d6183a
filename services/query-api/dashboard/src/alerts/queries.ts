import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query"
import { api, bodyOf, type Schemas } from "../api/client"

export const WATCH_MAIL_EVERY_MS = 1_000
const WATCH_HISTORY_EVERY_MS = 5_000
const PAGE = 25

export const settingsQuery = queryOptions({
  queryKey: ["alert-settings"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/alerts/settings", { signal })),
  staleTime: 0,
  refetchOnWindowFocus: true,
})

/** Throws Refusal; its status is 412 if another admin has saved since `version`. */
export function saveSettings(
  version: number,
  body: Schemas["AlertSettingsRequest"],
): Promise<Schemas["AlertSettingsResponse"]> {
  return bodyOf(api.PUT("/api/v1/alerts/settings", { params: { header: { "if-match": `"${version}"` } }, body }))
}

export function previewQuery(body: Schemas["PreviewRequest"]) {
  return queryOptions({
    queryKey: ["alert-preview", body],
    queryFn: ({ signal }) => bodyOf(api.POST("/api/v1/alerts/preview", { body, signal })),
    placeholderData: keepPreviousData,
  })
}

export const historyQuery = infiniteQueryOptions({
  queryKey: ["alerts"],
  queryFn: ({ signal, pageParam }) =>
    bodyOf(
      api.GET("/api/v1/alerts", {
        params: { query: { limit: PAGE, ...(pageParam && { before: pageParam }) } },
        signal,
      }),
    ),
  initialPageParam: "",
  getNextPageParam: (page) => page.next,
  refetchInterval: WATCH_HISTORY_EVERY_MS,
})

export function alertQuery(id: string) {
  return queryOptions({
    queryKey: ["alert", id],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/alerts/{id}", { params: { path: { id } }, signal })),
    refetchInterval: ({ state }) => (state.data?.deliveries.some(isUnderWay) ? WATCH_MAIL_EVERY_MS : false),
    staleTime: 0,
  })
}

export function resend(id: string, recipient: string | null) {
  return bodyOf(api.POST("/api/v1/alerts/{id}/resend", { params: { path: { id } }, body: { recipient } }))
}

export const testMailsQuery = queryOptions({
  queryKey: ["test-mails"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/alerts/test-mail", { signal })),
  staleTime: 0,
})

export function sendTestMail(rule: Schemas["TestMailRequest"]["rule"]) {
  return bodyOf(api.POST("/api/v1/alerts/test-mail", { body: { rule } }))
}

export function isUnderWay({ state }: { state: Schemas["Delivery"]["state"] }): boolean {
  return state === "pending"
}
