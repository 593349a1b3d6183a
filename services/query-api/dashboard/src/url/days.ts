/** Inclusive, as dates. */
export interface Days {
  from: string
  to: string
}

/** Days as in the URL: "2026-10-01/2026-10-31". */
export function writeDays({ from, to }: Days): string {
  return `${from}/${to}`
}

export function daysIn(text: string | undefined): Days | undefined {
  const [from, to] = text?.split("/") ?? []
  return from && to ? { from, to } : undefined
}
