/** Shortcuts of the page. Their target elements have the key as `aria-keyshortcuts`. */
export const KEYS: [key: string, does: string][] = [
  ["?", "Show this list"],
  ["/", "Search the table"],
  ["1", "Assistant"],
  ["2", "Agents"],
  ["3", "API"],
  ["4", "People"],
  ["5", "Runs"],
  ["p", "Choose a period"],
  ["t", "Toggle chart and table"],
  ["m", "Manage budget and alerts"],
  ["c", "Why doesn't this match my contract?"],
]

/** Keys of the focused element. */
export const KEYS_WITHIN: [keys: string[], does: string][] = [
  [["←", "→"], "Previous or next column"],
  [["Home", "End"], "First or last column"],
  [["Enter"], "Zoom into a column"],
  [["e"], "Explain a column"],
  [["Esc"], "Close panel"],
]

const TYPED_INTO = "input:not([type=checkbox], [type=radio]), textarea, select, [role=menu], [role=listbox]"

/** Whether a key is a shortcut: not while the user types into a field, and not with Ctrl, Alt or Command. */
export function isShortcut(event: KeyboardEvent): boolean {
  const isPlain = !(event.ctrlKey || event.altKey || event.metaKey) || event.getModifierState("AltGraph")
  const isTyping = event.target instanceof Element && event.target.closest(TYPED_INTO) !== null
  return isPlain && !isTyping && !event.repeat && !event.defaultPrevented
}

/** Clicks the key's element, or focuses it if it is a text field. False if the page has no such element. */
export function press(key: string): boolean {
  const target = document.querySelector<HTMLElement>(`[aria-keyshortcuts="${CSS.escape(key)}"]`)
  if (!target) return false
  if (target instanceof HTMLInputElement) target.select()
  else target.click()
  return true
}
