interface Named {
  id: string
  name: string
  rows: Named[]
}

/** The name of a row of a tree; undefined if there is none with the id. */
export function findName(rows: readonly Named[], id: string): string | undefined {
  for (const row of rows) {
    const name = row.id === id ? row.name : findName(row.rows, id)
    if (name !== undefined) return name
  }
  return undefined
}

/** "project: atlas" of "project:atlas"; keys have no colon, values may have one. An empty value: beyond the limit of new ones. */
export function labelName(label: string): string {
  const colon = label.indexOf(":")
  return `${label.slice(0, colon)}: ${label.slice(colon + 1) || "Other"}`
}
