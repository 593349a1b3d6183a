import type { Schemas } from "../../api/client"
import type { UrlState } from "../../url/urlState"
import type { ViewChange } from "../../url/useUrlState"

export type PeopleRow = Schemas["PeopleTableRow"]
type Kind = PeopleRow["kind"]

/** A row with its position in the table. */
export interface PeopleLine {
  row: PeopleRow
  /** Built from kinds and ids: unique in the table, and the same after a reload. */
  path: string
  depth: number
  isOpen: boolean
}

/** The lines to show: rows, each open row followed by the rows in it. */
export function layOut(
  rows: readonly PeopleRow[],
  opens: (path: string) => boolean,
  above = "",
  depth = 0,
): PeopleLine[] {
  return rows.flatMap((row) => {
    const path = `${above}${row.kind}:${encodeURIComponent(row.id)}`
    const isOpen = row.rows.length > 0 && opens(path)
    const line = { row, path, depth, isOpen }
    return isOpen ? [line, ...layOut(row.rows, opens, `${path}/`, depth + 1)] : [line]
  })
}

/** The rows of all pages. A page with `moved` begins again, because new usage has changed the order of rows. */
export function rowsOf(pages: readonly Schemas["People"][]): PeopleRow[] {
  const first = pages.findLastIndex(({ moved }) => moved)
  return pages.slice(Math.max(0, first)).flatMap(({ rows }) => rows)
}

/** Explanation of a row that is not a person, a group or a value. */
export function explain(kind: Kind, by: Schemas["People"]["by"]): string | undefined {
  if (kind === "unattributed") {
    return by === "group" ? "Usage sent without a person and without a group" : "Usage sent without a person"
  }
  return EXPLAINED[kind]
}

const EXPLAINED: Partial<Record<Kind, string>> = {
  removed: "People who left the directory. Their usage stays in every total.",
  no_group: "Usage of people who belong to no group",
  no_value: "Usage sent without this label",
  other: "People or labels beyond the month’s limit of combinations, counted together",
  small: "Usage of fewer than five people in a month, shown together to protect them",
}

/** The change of the view that filters by a row; undefined if the API cannot filter by it. */
export function filterBy(row: PeopleRow, labelKey: string | null, url: UrlState): ViewChange | undefined {
  switch (row.kind) {
    case "person":
    case "service_account":
      // The product tabs and their chart show what one person uses.
      return { tab: undefined, actor: row.id, scope: "all", open: undefined, q: undefined, view: undefined }
    case "group":
    case "own":
      return row.id === url.group ? undefined : { group: row.id, by: "person", open: undefined, q: undefined }
    case "value":
      return labelKey
        ? { label: `${labelKey}:${row.id}`, by: "person", label_key: undefined, open: undefined, q: undefined }
        : undefined
    default:
      return undefined
  }
}

/** "Cost center" of the key "cost_center". */
export function keyName(key: string): string {
  const words = key.replaceAll(/[_.-]+/g, " ").trim() || key
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** "Top 1%", "1–10%": a band of people by rank. */
export function bandName({ from_percent, to_percent }: Schemas["PeopleBand"]): string {
  return from_percent === 0 ? `Top ${to_percent}%` : `${from_percent}–${to_percent}%`
}

/** Whether usage was sent without saying who used it: no row but the one of such usage. */
export function namesNone(page: Schemas["People"]): boolean {
  return (
    page.rows.length === 0 && page.pinned.every(({ kind }) => ["unattributed", "no_group", "no_value"].includes(kind))
  )
}
