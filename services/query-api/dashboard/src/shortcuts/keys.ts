/** Keys of the page. Whatever they work on says so itself, as `aria-keyshortcuts`. */
export const KEYS: [key: string, does: string][] = [
  ["?", "This list"],
  ["/", "Search the table"],
  ["1", "Assistant"],
  ["2", "Agents"],
  ["3", "API"],
  ["p", "Choose the credit period or months"],
  ["t", "The chart as a table, and back"],
  ["m", "Manage budget and alerts"],
  ["c", "Why this does not match my contract"],
]

/** Keys of what has the focus. */
export const KEYS_WITHIN: [keys: string[], does: string][] = [
  [["←", "→"], "In a chart: the column before, or after"],
  [["Home", "End"], "The first column, or the last"],
  [["Enter"], "Go into a column's days"],
  [["Esc"], "Close what is open"],
]

const TYPED_INTO = "input:not([type=checkbox], [type=radio]), textarea, select, [role=menu], [role=listbox]"

/** What a key would be typed into is left alone, and what a browser or system uses by Ctrl, Alt or Command. */
export function isShortcut(event: KeyboardEvent): boolean {
  const isPlain = !(event.ctrlKey || event.altKey || event.metaKey) || event.getModifierState("AltGraph")
  const isTyping = event.target instanceof Element && event.target.closest(TYPED_INTO) !== null
  return isPlain && !isTyping && !event.repeat && !event.defaultPrevented
}

/** Does what a click on the key's element does; one to type into takes the focus. False when the page has none. */
export function press(key: string): boolean {
  const target = document.querySelector<HTMLElement>(`[aria-keyshortcuts="${CSS.escape(key)}"]`)
  if (!target) return false
  if (target instanceof HTMLInputElement) target.select()
  else target.click()
  return true
}
