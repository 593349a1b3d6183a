/** The address' query, plain: `?from=2026-11&surface=web&surface=slack`. No JSON in it, so that mails and people can write it. */
export type Search = Record<string, string | string[] | undefined>

export function parseSearch(text: string): Search {
  const search: Search = Object.create(null) // an address may say ?constructor=
  for (const [name, value] of new URLSearchParams(text)) {
    const before = search[name]
    search[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  return search
}

/** With the question mark, or nothing. What is undefined is left out. */
export function writeSearch(search: Search): string {
  const written = new URLSearchParams()
  for (const [name, value] of Object.entries(search)) {
    if (value === undefined) continue
    for (const one of Array.isArray(value) ? value : [value]) written.append(name, one)
  }
  const text = written.toString()
  return text ? `?${text}` : ""
}
