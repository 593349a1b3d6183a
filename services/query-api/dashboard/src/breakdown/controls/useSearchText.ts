import { useDebouncedCallback } from "@mantine/hooks"
import { useState } from "react"
import { useUrlState } from "../../url/useUrlState"

const INTO_ADDRESS_AFTER_MS = 300

/** What is searched for: at once where it is typed, and in the address when the typing pauses. */
export function useSearchText(): [string, (text: string) => void] {
  const [url, change] = useUrlState()
  const told = url.q ?? ""
  const [text, setText] = useState(told)
  const [before, setBefore] = useState(told)
  const [sent, setSent] = useState(told)
  const tell = useDebouncedCallback((typed: string) => {
    setSent(typed)
    change({ q: typed || undefined })
  }, INTO_ADDRESS_AFTER_MS)
  if (told !== before) {
    setBefore(told)
    if (told !== sent) setText(told) // somebody went back, or followed a link; else more may be typed by now
  }
  return [
    text,
    (typed) => {
      setText(typed)
      tell(typed)
    },
  ]
}
