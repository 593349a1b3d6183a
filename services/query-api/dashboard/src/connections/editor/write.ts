const LINE_MAX = 96

/** JSON for people: an object or array that fits is on one line. */
export function writeJson(value: unknown, indent = ""): string {
  const line = writeLine(value)
  if (typeof value !== "object" || value === null || indent.length + line.length <= LINE_MAX) return line
  const inner = `${indent}  `
  const [open, close, items] = Array.isArray(value)
    ? ["[", "]", value.map((item) => writeJson(item, inner))]
    : ["{", "}", Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${writeJson(item, inner)}`)]
  return `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`
}

function writeLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(writeLine).join(", ")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${writeLine(item)}`)
  return `{${members.join(", ")}}`
}
