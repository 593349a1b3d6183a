import { useQueryClient } from "@tanstack/react-query"
import { useEffect } from "react"
import type { Schemas } from "./client"
import { bannerQuery, overviewQuery, sessionQuery } from "./queries"

const RECONNECT_AFTER_MS = 15_000
const REFETCH_AT_MOST_EVERY_MS = 2_000
/** Queries that usage changes. The stream delivers overview and banner itself. */
const FOLLOWS = ["breakdown", "people", "trend", "credit-periods", "reconcile", "freshness"]

/** Keeps the page's numbers live while the page is visible. */
export function useLive() {
  const client = useQueryClient()
  useEffect(() => {
    let stream: EventSource | undefined
    let reconnect: ReturnType<typeof setTimeout> | undefined
    let refetch: ReturnType<typeof setTimeout> | undefined

    const follow = () => {
      refetch ??= setTimeout(() => {
        refetch = undefined
        void client.invalidateQueries({ predicate: ({ queryKey }) => FOLLOWS.includes(String(queryKey[0])) })
      }, REFETCH_AT_MOST_EVERY_MS)
    }
    const open = () => {
      clearTimeout(reconnect)
      stream?.close()
      stream = new EventSource("/api/v1/live")
      stream.addEventListener("overview", ({ data }: MessageEvent<string>) => {
        const overview: Schemas["Overview"] = JSON.parse(data)
        const before = client.getQueryData(overviewQuery.queryKey)
        client.setQueryData(overviewQuery.queryKey, overview)
        if (before && before.updated_at !== overview.updated_at) follow()
      })
      stream.addEventListener("banner", ({ data }: MessageEvent<string>) => {
        client.setQueryData(bannerQuery.queryKey, JSON.parse(data) as Schemas["Banner"])
      })
      stream.addEventListener("error", () => {
        // The browser reconnects by itself unless the API refused it; then the session may have ended.
        if (stream?.readyState !== EventSource.CLOSED) return
        void client.invalidateQueries({ queryKey: sessionQuery.queryKey })
        reconnect = setTimeout(open, RECONNECT_AFTER_MS)
      })
    }
    const close = () => {
      clearTimeout(reconnect)
      clearTimeout(refetch)
      refetch = undefined
      stream?.close()
    }
    // A browser allows six connections per origin for all tabs together, so hidden tabs close theirs.
    const followVisibility = () => (document.visibilityState === "visible" ? open() : close())
    followVisibility()
    document.addEventListener("visibilitychange", followVisibility)
    return () => {
      document.removeEventListener("visibilitychange", followVisibility)
      close()
    }
  }, [client])
}
