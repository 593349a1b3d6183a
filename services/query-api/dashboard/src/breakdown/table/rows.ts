import type { Schemas } from "../../api/client"
import { compare, isZero } from "../../format/credits"

export type Row = Schemas["BreakdownRow"]

/** A row with its position in the table. */
export interface Line {
  row: Row
  /** Built from kinds and ids: unique in the table, and the same after a reload. */
  path: string
  depth: number
  isOpen: boolean
  /** Whether a row beside it has the same name; then the id is shown too. */
  isTwin: boolean
}

export type Column = "name" | "credits" | "uses" | "share" | "change"
export interface Order {
  by: Column
  descending: boolean
}

/** Rows that are not current agents; they are shown below all others, in this order. */
const PINNED: Row["kind"][] = ["system", "unsaved", "deleted", "other"]

export const EXPLAINED: Partial<Record<Row["kind"], string>> = {
  system: "Built-in workflow",
  unsaved: "Usage by drafts never saved as an agent. It moves to the agent once you save it.",
  deleted: "Usage by agents that have since been deleted",
  other: "Names beyond the limit of new ones in a month. Their usage counts, but not by name.",
}

export function isPinned(row: Row): boolean {
  return PINNED.includes(row.kind)
}

export function readOrder(sort: string | undefined): Order {
  if (!sort) return { by: "credits", descending: true }
  const descending = sort.startsWith("-")
  return { by: sort.slice(descending ? 1 : 0) as Column, descending }
}

/** The order as a URL parameter; undefined for the default order. */
export function writeOrder({ by, descending }: Order): string | undefined {
  return by === "credits" && descending ? undefined : `${descending ? "-" : ""}${by}`
}

/** The order after a click on a column's head: numbers begin with the highest, names with A. */
export function nextOrder(order: Order, by: Column): Order {
  return order.by === by ? { by, descending: !order.descending } : { by, descending: by !== "name" }
}

/** Rows whose name contains the text, with their parts and their parents. */
export function searchRows(rows: readonly Row[], text: string, locale: string): Row[] {
  const wanted = text.trim().toLocaleLowerCase(locale)
  if (!wanted) return [...rows]
  return rows.flatMap((row) => {
    if (row.name.toLocaleLowerCase(locale).includes(wanted)) return [row]
    const inside = searchRows(row.rows, wanted, locale)
    return inside.length > 0 ? [{ ...row, rows: inside }] : []
  })
}

export function sortRows(rows: readonly Row[], order: Order, locale: string): Row[] {
  const names = new Intl.Collator(locale, { numeric: true })
  const compareBy: Record<Column, (one: Row, other: Row) => number> = {
    name: (one, other) => names.compare(one.name, other.name),
    credits: (one, other) => compare(one.credits, other.credits),
    share: (one, other) => compare(one.credits, other.credits),
    uses: (one, other) => one.events - other.events,
    change: (one, other) => compareChanges(one, other),
  }
  const sign = order.descending ? -1 : 1
  const sorted = [...rows].sort(
    (one, other) =>
      PINNED.indexOf(one.kind) - PINNED.indexOf(other.kind) ||
      sign * compareBy[order.by](one, other) ||
      names.compare(one.name, other.name),
  )
  return sorted.map((row) => ({ ...row, rows: sortRows(row.rows, order, locale) }))
}

/** New rows have infinite growth; rows without a comparison sort lowest. */
function compareChanges(one: Row, other: Row): number {
  const rank = (row: Row) => (row.previous === null ? 0 : row.change === null ? 2 : 1)
  return rank(one) - rank(other) || compare(one.change ?? "0", other.change ?? "0")
}

/** Whether a row has no usage in the range; it is listed only for its usage in the previous range. */
export function isUnused(row: Row): boolean {
  return row.events === 0 && isZero(row.credits)
}

/** The lines to show: rows, each open row followed by its parts. */
export function layOut(rows: readonly Row[], opens: (path: string) => boolean, above = "", depth = 0): Line[] {
  const names = new Map<string, number>()
  for (const { name } of rows) names.set(name, (names.get(name) ?? 0) + 1)
  return rows.flatMap((row) => {
    const path = `${above}${row.kind}:${encodeURIComponent(row.id)}`
    const isOpen = row.rows.length > 0 && opens(path)
    const line = { row, path, depth, isOpen, isTwin: (names.get(row.name) ?? 0) > 1 }
    return isOpen ? [line, ...layOut(row.rows, opens, `${path}/`, depth + 1)] : [line]
  })
}
