import type { Schemas } from "../api/client"

export type State = "current" | "delayed" | "no_data" | "unreachable"

export interface Age {
  state: State
  /** Since the totals last changed; null when they never did. */
  updatedS: number | null
  completeTo: Date | null
}

const DELAYED_AFTER_S = 60

/**
 * How old the numbers are `now`, given when the answer was received. By the server's clock: `lag_seconds` and
 * `complete_to` together say what it showed then, so that a wrong clock of the reader does no harm.
 */
export function ageOf(answer: Schemas["Freshness"], receivedMs: number, nowMs: number, failing: boolean): Age {
  const completeTo = answer.complete_to ? new Date(answer.complete_to) : null
  const lagS = answer.lag_seconds ?? 0
  const serverMs = (completeTo ? completeTo.getTime() + lagS * 1000 : receivedMs) + (nowMs - receivedMs)
  const updatedS = answer.updated_at ? Math.max(0, (serverMs - Date.parse(answer.updated_at)) / 1000) : null
  const heardS = (nowMs - receivedMs) / 1000
  const state: State = failing && heardS > DELAYED_AFTER_S / 4 ? "unreachable" : answer.state
  return { state, updatedS, completeTo }
}
