import { useQuery } from "@tanstack/react-query"
import { useMemo } from "react"
import { sessionQuery } from "../api/queries"
import { type Format, makeFormat } from "../format"

/** How this organization writes numbers and dates. */
export function useFormat(): Format {
  const { data } = useQuery(sessionQuery)
  const { locale = "en-US", time_zone } = data ?? {}
  return useMemo(() => makeFormat(locale, time_zone ?? "UTC"), [locale, time_zone])
}
