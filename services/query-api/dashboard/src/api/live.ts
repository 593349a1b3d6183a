import { useQueryClient } from "@tanstack/react-query"
import { useEffect } from "react"
import type { Schemas } from "./client"
import { bannerQuery, overviewQuery, sessionQuery } from "./queries"

const RECONNECT_AFTER_MS = 15_000
const REFETCH_AT_MOST_EVERY_MS = 2_000
/** What usage changes, besides the overview and banner that the stream brings itself. */
const FOLLOWS = ["breakdown", "trend", "credit-periods", "reconcile", "freshness"]

/** Keeps the page's numbers live for as long as somebody looks at it. */
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
        // The browser comes back by itself unless it was refused: then the session may have ended.
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
    // A browser has six connections to an origin, for all its tabs together: those that nobody sees give theirs back.
    const look = () => (document.visibilityState === "visible" ? open() : close())
    look()
    document.addEventListener("visibilitychange", look)
    return () => {
      document.removeEventListener("visibilitychange", look)
      close()
    }
  }, [client])
}
