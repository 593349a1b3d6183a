/** The URL's query: `?from=2026-11&surface=web&surface=slack`. Without JSON, so that mails and people can write it. */
export type Search = Record<string, string | string[] | undefined>

export function parseSearch(text: string): Search {
  const search: Search = Object.create(null) // a URL may contain ?constructor=
  for (const [name, value] of new URLSearchParams(text)) {
    const before = search[name]
    search[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  return search
}

/** With the question mark, or empty. Undefined values are left out. */
export function writeSearch(search: Search): string {
  const written = new URLSearchParams()
  for (const [name, value] of Object.entries(search)) {
    if (value === undefined) continue
    for (const one of Array.isArray(value) ? value : [value]) written.append(name, one)
  }
  const text = written.toString()
  return text ? `?${text}` : ""
}
