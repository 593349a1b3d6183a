import { useQuery } from "@tanstack/react-query"
import { useMemo } from "react"
import { overviewQuery } from "../api/queries"
import { makeFormat } from "../format"

export function useFormat() {
  const { data } = useQuery(overviewQuery)
  const timeZone = data?.time_zone ?? "UTC"
  return useMemo(() => makeFormat("en-US", timeZone), [timeZone])
}
