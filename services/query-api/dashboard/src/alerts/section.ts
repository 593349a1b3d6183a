import type { Draft, Mistakes, Settings } from "./draft"

/** What both parts of the form are given. */
export interface SectionProps {
  draft: Draft
  settings: Settings
  mistakes: Mistakes
  change: (parts: Partial<Draft>) => void
  /** Nothing waits to be saved. */
  isSaved: boolean
}
