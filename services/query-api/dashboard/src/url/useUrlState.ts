import { useNavigate, useSearch } from "@tanstack/react-router"
import { useCallback } from "react"
import type { UrlState } from "./urlState"

/** Undefined takes a part of the view back to its default. */
export type ViewChange = { [Part in keyof UrlState]?: UrlState[Part] | undefined }

/** Takes the choice of days back to the default, before another is made. */
export const NO_RANGE = { credit_period: undefined, from: undefined, to: undefined, range: undefined }

/** Changes the view: `push` for what a person would go back from. It stays the same function for the page's life. */
export type ChangeView = (change: ViewChange | ((url: UrlState) => ViewChange), how?: "push" | "replace") => void

/** How to change what the address says, without following it. */
export function useChangeUrl(): ChangeView {
  const navigate = useNavigate({ from: "/" })
  return useCallback<ChangeView>(
    (parts, how = "replace") =>
      void navigate({
        search: (before) => ({ ...before, ...(typeof parts === "function" ? parts(before) : parts) }) as UrlState,
        replace: how === "replace",
        resetScroll: false,
      }),
    [navigate],
  )
}

/** What the address says, and how to change it. */
export function useUrlState(): [UrlState, ChangeView] {
  return [useSearch({ from: "/" }), useChangeUrl()]
}
