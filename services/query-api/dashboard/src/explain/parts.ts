import type { Schemas } from "../api/client"
import { fromMicro, toMicro } from "../format/credits"
import { PRODUCT_NAMES } from "../ui/labels"

export type Explanation = Schemas["Explanation"]
export type Part = Schemas["ExplainedPart"]
export type Contributor = Schemas["Contributor"]
export type PartKind = Part["kind"]

/** Names for a part that adds credits, and for one that takes some away; and what it means. */
const WORDS: Record<PartKind, [more: string, less: string, means: string]> = {
  days: [
    "More days",
    "Fewer days",
    "The two ranges have different numbers of days. All other rows compare equal numbers.",
  ],
  volume: [
    "More use",
    "Less use",
    "The number of uses changed, at the earlier average of credits per use of each product.",
  ],
  mix: [
    "Costlier mix",
    "Cheaper mix",
    "Use shifted between features and agents that take more or fewer credits per use than the average.",
  ],
  intensity: [
    "More credits per use",
    "Fewer credits per use",
    "The same features and agents took more or fewer credits per use.",
  ],
  rate: ["Higher prices", "Lower prices", "The list price of a unit changed."],
  new_features: ["New features", "New features", "Features that the earlier days did not use."],
  gone_features: ["Features no longer used", "Features no longer used", "Features that only the earlier days used."],
  new_agents: ["New agents", "New agents", "Agents that the earlier days did not use."],
  gone_agents: ["Agents no longer used", "Agents no longer used", "Agents that only the earlier days used."],
  new_people: ["New people", "New people", "People without use in the earlier days."],
  gone_people: ["People who stopped", "People who stopped", "People with use in the earlier days only."],
  late: [
    "Late data",
    "Late data",
    "Uses that arrived after their days had ended: more now, or more in the earlier days.",
  ],
  corrections: ["Corrections", "Corrections", "Credits that were added or given back later."],
}

export function nameOfPart({ kind, amount }: Pick<Part, "kind" | "amount">): string {
  return WORDS[kind][toMicro(amount) < 0n ? 1 : 0]
}

export function meaningOf(kind: PartKind): string {
  return WORDS[kind][2]
}

/** A row of the waterfall. `from` and `to` are positions from 0 to 1; the two totals have one position. */
export type Step =
  | { is: "total"; which: "before" | "now"; credits: string; at: number }
  | { is: "part"; part: Part; from: number; to: number }

/** Space on both sides of the drawing, as a fraction of its width. */
const MARGIN = 0.04

/** The total before, the parts that are not zero, and the total now. Each part begins where the one before it ends. */
export function stepsOf({ previous, total, parts }: Pick<Explanation, "previous" | "total" | "parts">): Step[] {
  const shown = parts.filter(({ amount }) => toMicro(amount) !== 0n)
  const levels = [toMicro(previous)]
  for (const { amount } of shown) levels.push((levels.at(-1) ?? 0n) + toMicro(amount))
  const ordered = levels.toSorted((one, other) => (one < other ? -1 : 1))
  const [lowest, highest] = [ordered[0] ?? 0n, ordered.at(-1) ?? 0n]
  const spread = Number(fromMicro(highest - lowest)) || 1
  const place = (level: bigint) => MARGIN + (Number(fromMicro(level - lowest)) / spread) * (1 - 2 * MARGIN)
  return [
    { is: "total", which: "before", credits: previous, at: place(levels[0] ?? 0n) },
    ...shown.map((part, at) => ({
      is: "part" as const,
      part,
      from: place(levels[at] ?? 0n),
      to: place(levels[at + 1] ?? 0n),
    })),
    { is: "total", which: "now", credits: total, at: place(levels.at(-1) ?? 0n) },
  ]
}

/** "Deep Research · Quarterly report", "Ada Lovelace", "Assistant". */
export function nameOf({ product, feature_name, agent_name, person_name }: Contributor): string {
  const names = [feature_name, agent_name, person_name].filter((name) => name !== null)
  if (names.length > 0) return names.join(" · ")
  return product ? PRODUCT_NAMES[product] : "Other"
}

export function keyOfContributor({ product, feature_kind, feature, agent, person }: Contributor): string {
  return [product, feature_kind, feature, agent, person].map((text) => text ?? "").join("/")
}

const PEOPLE: PartKind[] = ["new_people", "gone_people"]

/** What cannot be computed under the filters, for a sentence. People are asked for only for long ranges. */
export function unknownIn(parts: readonly Part[]): string[] {
  const names: Partial<Record<PartKind, string>> = { rate: "prices", late: "late data", corrections: "corrections" }
  return parts.flatMap(({ kind, known }) => (known || PEOPLE.includes(kind) ? [] : [names[kind] ?? kind]))
}
