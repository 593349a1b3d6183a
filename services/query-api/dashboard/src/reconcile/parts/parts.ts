import { infiniteQueryOptions, keepPreviousData } from "@tanstack/react-query"
import { api, bodyOf, type Schemas } from "../../api/client"

export type Chargeback = Schemas["Chargeback"]
type Row = Schemas["ChargebackRow"]

const PAGE = 20

export function chargebackQuery(creditPeriod: string | undefined, by: "person" | "group") {
  const query = { ...(creditPeriod && { credit_period: creditPeriod }), by, limit: PAGE }
  return infiniteQueryOptions({
    queryKey: ["reconcile", "people", query],
    queryFn: ({ signal, pageParam }) =>
      bodyOf(
        api.GET("/api/v1/reconcile/people", {
          params: { query: { ...query, ...(pageParam && { after: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  })
}

/** The rows of all pages. A page with `moved` begins again, because new usage has changed the order of rows. */
export function rowsOf(pages: readonly Chargeback[]): Row[] {
  const first = pages.findLastIndex(({ moved }) => moved)
  return pages.slice(Math.max(0, first)).flatMap(({ rows }) => rows)
}

interface PartLine {
  row: Row
  path: string
  depth: number
}

/** Each row, followed by the rows in it, which add up to it. */
export function linesOf(rows: readonly Row[], above = "", depth = 0): PartLine[] {
  return rows.flatMap((row) => {
    const path = `${above}${row.kind}:${row.id}`
    return [{ row, path, depth }, ...linesOf(row.rows, `${path}/`, depth + 1)]
  })
}

/** Whether the usage names neither people nor groups. */
export function namesNone(page: Chargeback): boolean {
  return page.rows.length === 0 && page.pinned.every(({ kind }) => kind === "unattributed")
}
