/** How many colours there are for what is not a product, `--series-1` on; the products' own are none of them. */
const COLORS = 7

/** What has had which colour since the page was opened. */
const given = new Map<string, number>()

/**
 * A colour of its own for each of `keys`, by what it is and not by its rank: who is overtaken keeps the colour. It is the
 * same after a reload, unless two of the keys would have the same one.
 */
export function colorsOf(keys: readonly string[], before: Map<string, number> = given): Map<string, string> {
  const taken = new Map<number, string>()
  const settled = keys.filter((key) => {
    const color = before.get(key)
    if (color === undefined || taken.has(color)) return false
    taken.set(color, key)
    return true
  })
  const others = keys.filter((key) => !settled.includes(key)).sort()
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
