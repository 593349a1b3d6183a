import { useThrottledValue } from "@mantine/hooks"
import { useState } from "react"

interface Props {
  words: string
  atMostEveryMs?: number
}

/** Tells those who listen to the page what changes on it, politely; not what it said at first, which they read anyway. */
export function Announcement({ words, atMostEveryMs = 0 }: Props) {
  const said = useThrottledValue(words, atMostEveryMs)
  const [atFirst] = useState(words)
  return (
    <p role="status" className="visually-hidden" data-testid="announcement">
      {said !== atFirst && said}
    </p>
  )
}
