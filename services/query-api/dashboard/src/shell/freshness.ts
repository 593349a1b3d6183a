import type { Schemas } from "../api/client"

export type State = "current" | "delayed" | "no_data" | "silent" | "unreachable"

export interface Age {
  state: State
  /** Seconds since the totals last changed; null if they never did. */
  updatedS: number | null
  completeTo: Date | null
}

/** The page polls every 5 s. */
export const SILENT_AFTER_S = 10
const UNREACHABLE_AFTER_S = 15

/**
 * The age of the numbers at `now`, given the time at which the response was received. It uses the server's clock, which follows
 * from `lag_seconds` and `complete_to`, so that a wrong clock of the browser has no effect.
 * `silentS`: for how long the current request has been waiting.
 */
export function ageOf(
  answer: Schemas["Freshness"],
  receivedMs: number,
  nowMs: number,
  failing: boolean,
  silentS: number,
): Age {
  const completeTo = answer.complete_to ? new Date(answer.complete_to) : null
  const lagS = answer.lag_seconds ?? 0
  const serverMs = (completeTo ? completeTo.getTime() + lagS * 1000 : receivedMs) + (nowMs - receivedMs)
  const updatedS = answer.updated_at ? Math.max(0, (serverMs - Date.parse(answer.updated_at)) / 1000) : null
  return { state: stateOf(answer, failing, silentS), updatedS, completeTo }
}

function stateOf(answer: Schemas["Freshness"], failing: boolean, silentS: number): State {
  if (failing && silentS > UNREACHABLE_AFTER_S) return "unreachable"
  return silentS > SILENT_AFTER_S ? "silent" : answer.state
}
