import { useEffect, useState } from "react"

/** The time in ms since 1970, updated each second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000)
    return () => clearInterval(timer)
  }, [])
  return now
}

/** When the page became visible, in ms since 1970. Hidden pages send no requests. */
export function useSeenSince(): number {
  const [since, setSince] = useState(Date.now)
  useEffect(() => {
    const see = () => setSince(Date.now())
    document.addEventListener("visibilitychange", see)
    return () => document.removeEventListener("visibilitychange", see)
  }, [])
  return since
}
