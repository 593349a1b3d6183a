import { useDebouncedCallback } from "@mantine/hooks"
import { useState } from "react"
import { useUrlState } from "../../url/useUrlState"

const INTO_URL_AFTER_MS = 300

/** The search text: updated in the field immediately, and in the URL when typing pauses. */
export function useSearchText(): [string, (text: string) => void] {
  const [url, change] = useUrlState()
  const inUrl = url.q ?? ""
  const [text, setText] = useState(inUrl)
  const [before, setBefore] = useState(inUrl)
  const [sent, setSent] = useState(inUrl)
  const updateUrl = useDebouncedCallback((typed: string) => {
    setSent(typed)
    change({ q: typed || undefined })
  }, INTO_URL_AFTER_MS)
  if (inUrl !== before) {
    setBefore(inUrl)
    if (inUrl !== sent) setText(inUrl) // the user went back or followed a link; otherwise keep the typed text
  }
  return [
    text,
    (typed) => {
      setText(typed)
      updateUrl(typed)
    },
  ]
}
