/** Keys of the page. Whatever they work on says so itself, as `aria-keyshortcuts`. */
export const KEYS: [key: string, does: string][] = [
  ["?", "Show this list"],
  ["/", "Search the table"],
  ["1", "Assistant"],
  ["2", "Agents"],
  ["3", "API"],
  ["p", "Choose a period"],
  ["t", "Toggle chart and table"],
  ["m", "Manage budget and alerts"],
  ["c", "Why doesn't this match my contract?"],
]

/** Keys of what has the focus. */
export const KEYS_WITHIN: [keys: string[], does: string][] = [
  [["←", "→"], "Previous or next column"],
  [["Home", "End"], "First or last column"],
  [["Enter"], "Zoom into a column"],
  [["Esc"], "Close panel"],
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
