import type { Draft, Mistakes, Settings } from "./draft"

/** What both parts of the form are given. */
export interface SectionProps {
  draft: Draft
  settings: Settings
  /** Those that are shown: nobody is told of what they have not come to yet. */
  mistakes: Mistakes
  /** Nothing is missing or wrong in this part. */
  isComplete: boolean
  change: (parts: Partial<Draft>) => void
}
