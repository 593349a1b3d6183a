import { useNavigate, useSearch } from "@tanstack/react-router"
import { useCallback } from "react"
import type { UrlState } from "./urlState"

/** Undefined resets a part of the view to its default. */
export type ViewChange = { [Part in keyof UrlState]?: UrlState[Part] | undefined }

/** Resets the range before a new one is set. */
export const NO_RANGE = { credit_period: undefined, from: undefined, to: undefined, range: undefined }

/** Changes the view. `push` adds a history entry, so that Back undoes it. The function is stable. */
export type ChangeView = (change: ViewChange | ((url: UrlState) => ViewChange), how?: "push" | "replace") => void

/** Changes the URL; the component does not re-render when the URL changes. */
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

/** The URL's state, and a function to change it. */
export function useUrlState(): [UrlState, ChangeView] {
  return [useSearch({ from: "/" }), useChangeUrl()]
}
