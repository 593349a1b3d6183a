/** Number of colours `--series-1` and up, for series that are not products; products have separate colours. */
const COLORS = 7

/** Colours assigned since the page was opened, by key. */
const given = new Map<string, number>()

/**
 * A distinct colour for each key, chosen by the key and not by its rank, so that a series keeps its colour when ranks change.
 * It is the same after a reload, unless the hashes of two keys collide.
 */
export function colorsOf(keys: readonly string[], before: Map<string, number> = given): Map<string, string> {
  const taken = new Map<number, string>()
  const unchanged = keys.filter((key) => {
    const color = before.get(key)
    if (color === undefined || taken.has(color)) return false
    taken.set(color, key)
    return true
  })
  const others = keys.filter((key) => !unchanged.includes(key)).sort()
  for (const key of others) {
    let color = hash(key) % COLORS
    for (let tried = 0; taken.has(color) && tried < COLORS; tried++) color = (color + 1) % COLORS
    taken.set(color, key)
    before.set(key, color)
  }
  return new Map(keys.map((key) => [key, `var(--series-${(before.get(key) ?? 0) + 1})`]))
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01000193)
  return value >>> 0
}
