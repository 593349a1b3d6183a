import type { Schemas } from "../api/client"
import { apiQuery, type Product, type UrlState, type ViewBy } from "../url/urlState"

type Row = Schemas["BreakdownRow"]

/** What people drive: an agent or a feature of the shown product, in the API's parameters. */
export interface Driven {
  product: Product
  view: ViewBy
  agent?: string
  feature?: string
}

const AGENTS: Row["kind"][] = ["agent", "system"]
const FEATURES: Row["kind"][] = ["model", "tool", "feature", "namespace"]

/** A row as the URL's `of`; undefined for rows that combine agents or features. */
export function writeOf({ kind, id }: Pick<Row, "kind" | "id">): string | undefined {
  return AGENTS.includes(kind) || FEATURES.includes(kind) ? `${kind}:${id}` : undefined
}

/** What the URL's `of` refers to; undefined if it is invalid. */
export function readOf(url: UrlState): Driven | undefined {
  const { product, view } = apiQuery(url)
  const [kind, id] = splitOf(url.of)
  if (!id) return undefined
  if (AGENTS.some((each) => each === kind)) return { product, view, agent: id }
  return FEATURES.some((each) => each === kind) ? { product, view, feature: id } : undefined
}

/** The name of the row among the table's rows, at any level; its id if the table does not have it. */
export function nameOf(of: string | undefined, rows: readonly Row[]): string {
  return findName(of, rows) ?? splitOf(of)[1] ?? ""
}

function findName(of: string | undefined, rows: readonly Row[]): string | undefined {
  for (const row of rows) {
    const name = writeOf(row) === of ? row.name : findName(of, row.rows)
    if (name !== undefined) return name
  }
  return undefined
}

function splitOf(of: string | undefined): [kind?: string, id?: string] {
  const colon = of?.indexOf(":") ?? -1
  return of && colon > 0 ? [of.slice(0, colon), of.slice(colon + 1)] : []
}
