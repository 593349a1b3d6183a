import type { Schemas } from "../api/client"

export type Line = Schemas["ReconcileLine"]
type Kind = Line["kind"]

/** One sum of the reconciliation. */
export interface Step {
  title: string
  /** Lines that add up to the total, and lines that only detail one of them. */
  parts: { line: Line; is: "part" | "inside" }[]
  total: Line
  /** Related lines that are in no sum. */
  besides: Line[]
}

/** The title of a sum, by its total and its last part. */
const TITLES: Partial<Record<Kind, Partial<Record<Kind, string>>>> = {
  feature_total: { corrections: "Usage", overage: "Coverage" },
  available: { add_on: "Credits available", unused: "Credits remaining" },
  contract_total: { minimum_commitment: "Contract total" },
}

export function stepsOf({ lines, sums }: Schemas["Reconciliation"]): Step[] {
  const listed = new Set<Line>()
  return sums.flatMap(({ total, parts }) => {
    const sum = lines.find(({ kind }) => kind === total)
    if (!sum) return []
    const once = (line: Line) => !listed.has(line) && listed.add(line)
    const insides = (of: Kind) => lines.filter(({ included_in }) => included_in === of).filter(once)
    const last = parts.at(-1)
    return {
      title: (last && TITLES[total]?.[last]) ?? sum.label,
      parts: parts
        .flatMap((part) => lines.filter(({ kind }) => kind === part))
        .flatMap((line) => [
          { line, is: "part" as const },
          ...insides(line.kind).map((inside) => ({ line: inside, is: "inside" as const })),
        ]),
      total: sum,
      besides: [
        ...insides(total),
        ...(parts.includes("add_on") ? lines.filter(({ kind }) => kind === "add_on_not_included") : []),
      ],
    }
  })
}
