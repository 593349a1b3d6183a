import { useQuery } from "@tanstack/react-query"
import { freshnessQuery } from "../api/queries"
import type { Format } from "../format/format"
import { useFormat } from "../format/useFormat"
import { useNow, useSeenSince } from "../format/useNow"
import { Hint } from "../ui/Hint"
import classes from "./Freshness.module.css"
import { type Age, ageOf, SILENT_AFTER_S, type State } from "./freshness"

const TITLES: Record<State, string> = {
  current: "",
  delayed: "Data delayed",
  silent: "Not responding",
  unreachable: "Not connected",
  no_data: "No usage yet",
}

const DESCRIPTIONS: Record<State, string> = {
  current: "Every event received up to this time is counted.",
  delayed: "Counting is behind: usage since this time is not included yet. Nothing is lost.",
  silent: "The server isn’t responding. These are the last numbers received.",
  unreachable: "The server can’t be reached. These are the last numbers received.",
  no_data: "No usage has been counted for this organization.",
}

/** How current the totals are. Missing data is never shown as zero usage. */
export function Freshness() {
  const { data, dataUpdatedAt, isError } = useQuery(freshnessQuery)
  const format = useFormat()
  const now = useNow()
  const seenSince = useSeenSince()
  const silentS = (now - Math.max(dataUpdatedAt, seenSince)) / 1_000
  const age = data && ageOf(data, dataUpdatedAt, now, isError, silentS)
  const state = age?.state ?? (isError ? "unreachable" : silentS > SILENT_AFTER_S ? "silent" : undefined)
  return (
    <p className={classes.line} data-state={state} data-testid="freshness">
      {state && <span className={classes.dot} aria-hidden="true" />}
      {/* Screen readers announce only a change of state, not each second. */}
      <strong role="status">{state && TITLES[state]}</strong>
      {age?.completeTo && <Reach age={age} completeTo={age.completeTo} format={format} />}
      {data && data.held > 0 && (
        <span>
          {format.count(data.held)} {data.held === 1 ? "event is" : "events are"} waiting{" "}
          {data.quarantine.length > 0
            ? "until a fault with this organization’s data is fixed"
            : "for a rate or registration"}
        </span>
      )}
    </p>
  )
}

function Reach({ age: { state, updatedS }, completeTo, format }: { age: Age; completeTo: Date; format: Format }) {
  const changed = updatedS === null ? "" : ` Totals last changed ${format.ago(updatedS)}.`
  return (
    <span>
      <Hint label={`${DESCRIPTIONS[state]}${changed}`}>
        {state === "current" ? "Live · includes" : "Includes"} everything received by {format.time(completeTo)}
      </Hint>
    </span>
  )
}
