import { useNavigate, useSearch } from "@tanstack/react-router"
import { useCallback } from "react"
import type { View } from "./view"

/** Undefined takes a part of the view back to its default. */
export type ViewChange = { [Part in keyof View]?: View[Part] | undefined }

/** Takes the choice of days back to the default, before another is made. */
export const NO_RANGE = { credit_period: undefined, from: undefined, to: undefined, range: undefined }

/** What the address says, and how to change it: `push` for what a person would go back from. */
export function useView(): [View, (change: ViewChange, how?: "push" | "replace") => void] {
  const view = useSearch({ from: "/" })
  const navigate = useNavigate({ from: "/" })
  const change = useCallback(
    (parts: ViewChange, how: "push" | "replace" = "replace") =>
      void navigate({
        search: (before) => ({ ...before, ...parts }) as View,
        replace: how === "replace",
        resetScroll: false,
      }),
    [navigate],
  )
  return [view, change]
}
