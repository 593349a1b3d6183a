import type { Schemas } from "../api/client"
import { PRODUCT_NAMES } from "../ui/labels"

type Json = Record<string, unknown>

/** The place of a JSON Pointer in a mapping, in words: "/rules/1/usage/agent/id" is "Rule 2, usage, agent id". */
export function wordsOf(pointer: string): string {
  const steps = pointer.split("/").slice(1)
  const words: string[] = []
  for (const [index, step] of steps.entries()) {
    const above = steps[index - 1]
    if (above === "rules") words.push(`Rule ${Number(step) + 1}`)
    else if (above === "when") words.push(`condition ${Number(step) + 1}`)
    else if (step !== "rules" && step !== "when") words.push(step.replaceAll("~1", "/").replaceAll("~0", "~"))
  }
  return words.join(", ").replaceAll("_", " ")
}

const NAMES: Record<string, string> = {
  product: "Product",
  feature_kind: "Kind of feature",
  feature: "Feature",
  surface: "Surface",
  agent: "Agent",
  actor: "Used by",
  group: "Group",
  run: "Run",
  labels: "Labels",
  credits: "Credits",
  quantity: "Quantity",
  quantities: "Quantities",
}

/** The fields of a usage event as names and texts, in the order in which the page shows them. */
export function linesOf(usage: Json): [name: string, text: string][] {
  const data = isObject(usage.data) ? usage.data : {}
  return Object.entries(NAMES).flatMap(([field, name]): [string, string][] => {
    const text = textOf(field, data)
    return text === undefined ? [] : [[name, text]]
  })
}

function textOf(field: string, data: Json): string | undefined {
  const value = data[field]
  if (value === undefined || value === null) return undefined
  if (field === "product") return PRODUCT_NAMES[value as keyof typeof PRODUCT_NAMES] ?? String(value)
  if (field === "quantity") return `${String(value)} ${String(data.unit)}`
  if (!isObject(value)) return String(value)
  if (field === "quantities") return pairs(value, (name, amount) => `${amount} ${name}`)
  if (field === "labels") return pairs(value, (name, text) => `${name}: ${text}`)
  const { id, name, kind, parent_id } = value
  const about = [name !== undefined && id, kind === "service_account" ? "service account" : kind]
  if (parent_id !== undefined) about.push(`started by ${parent_id}`)
  const shown = about.filter(Boolean)
  return shown.length > 0 ? `${name ?? id} (${shown.join(", ")})` : String(name ?? id)
}

function pairs(value: Json, write: (name: string, value: string) => string): string {
  return Object.entries(value)
    .map(([name, item]) => write(name, String(item)))
    .join(", ")
}

/** A text of the API, with quotation marks instead of backticks. */
export function quoted(text: string): string {
  return text.replaceAll(/`([^`]*)`/g, "“$1”")
}

/** What became of one event of the pasted text. */
export function outcomeOf({ outcome, rule }: Schemas["TriedEvent"]): string {
  const by = rule ? ` by the rule “${rule}”` : ""
  return {
    usage: `Counted as usage${by}`,
    ignored: `Ignored${by}: the client gets its answer, and nothing is counted`,
    unplaced: `Not counted: the rule “${rule}” failed`,
    unmapped: "Not counted: no rule matches",
    unreadable: "Not counted: this is no event of this protocol",
  }[outcome]
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
