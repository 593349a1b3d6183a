import { useEffect, useState } from "react"

/** The time, in ms since 1970, again each second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000)
    return () => clearInterval(timer)
  }, [])
  return now
}

/** Since when the page is in view, in ms since 1970: nothing is asked for while nobody looks. */
export function useSeenSince(): number {
  const [since, setSince] = useState(Date.now)
  useEffect(() => {
    const see = () => setSince(Date.now())
    document.addEventListener("visibilitychange", see)
    return () => document.removeEventListener("visibilitychange", see)
  }, [])
  return since
}
