import { useThrottledValue } from "@mantine/hooks"
import { useState } from "react"

interface Props {
  words: string
  atMostEveryMs?: number
}

/** A polite live region: screen readers announce changes of its text, but not the initial text. */
export function Announcement({ words, atMostEveryMs = 0 }: Props) {
  const said = useThrottledValue(words, atMostEveryMs)
  const [atFirst] = useState(words)
  return (
    <p role="status" className="visually-hidden" data-testid="announcement">
      {said !== atFirst && said}
    </p>
  )
}
