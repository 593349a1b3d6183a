import { Tooltip } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { freshnessQuery } from "../api/queries"
import classes from "./Freshness.module.css"
import { ageOf, type State } from "./freshness"
import { useFormat } from "./useFormat"
import { useNow } from "./useNow"

const SAYS: Record<State, string> = {
  current: "Every event received up to this time is in the numbers.",
  delayed: "Counting is behind: usage since this time is not in the numbers yet. Nothing is lost.",
  unreachable: "The server does not answer. These are the last numbers that it gave.",
  no_data: "Nothing was ever counted for this organization.",
}

/** How far the numbers reach: no data is never shown as no usage. */
export function Freshness() {
  const { data, dataUpdatedAt, isError } = useQuery(freshnessQuery)
  const format = useFormat()
  const now = useNow()
  if (!data) return <p className={classes.line}>{isError ? "The server does not answer" : "\u00a0"}</p>
  const { state, updatedS, completeTo } = ageOf(data, dataUpdatedAt, now, isError)
  const title = { delayed: "Data delayed", unreachable: "Not connected", no_data: "No usage yet", current: "" }[state]
  return (
    <p className={classes.line} data-state={state} data-testid="freshness">
      <span className={classes.dot} aria-hidden="true" />
      {/* Only a change of state is announced, not each second. */}
      <strong role="status">{title}</strong>
      {updatedS !== null && <span>Updated {format.ago(updatedS)}</span>}
      {completeTo && (
        <Tooltip label={SAYS[state]} multiline w={280} events={{ hover: true, focus: true, touch: true }}>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the tooltip must be reachable by keyboard */}
          <span tabIndex={0}>
            <span className={classes.hint}>complete to {format.time(completeTo)}</span>
          </span>
        </Tooltip>
      )}
      {data.held > 0 && (
        <span>
          {format.count(data.held)} {data.held === 1 ? "event waits" : "events wait"} for a rate or registration
        </span>
      )}
    </p>
  )
}
