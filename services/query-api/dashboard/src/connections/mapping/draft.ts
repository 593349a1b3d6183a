/** Unsaved text, and the version from which it began. `before`: the text that a ready-made mapping replaced. */
export interface Draft {
  text: string
  version: string
  before?: string | undefined
}
