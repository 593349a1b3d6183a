import type { Draft, Mistakes, Settings } from "./draft"

/** Props of both parts of the form. */
export interface SectionProps {
  draft: Draft
  settings: Settings
  /** The errors to show. Fields that the user has not reached yet show none. */
  mistakes: Mistakes
  /** Whether this part has no errors. */
  isComplete: boolean
  change: (parts: Partial<Draft>) => void
}
