import { Button } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { Schemas } from "../api/client"
import { freshnessQuery } from "../api/queries"
import { isZero } from "../format/credits"
import { useFormat } from "../format/useFormat"
import { VIEW_NAMES } from "../ui/labels"
import { isOfSome } from "../url/urlState"
import { useUrlState } from "../url/useUrlState"
import { FirstEvent } from "./FirstEvent"
import classes from "./table/UsageTable.module.css"

/** The message of an empty view. If data is delayed, it says that usage may be missing. */
export function EmptyView({ breakdown }: { breakdown: Schemas["Breakdown"] }) {
  const [url, change] = useUrlState()
  const format = useFormat()
  const ofSome = isOfSome(url)
  const isLate = useQuery(freshnessQuery).data?.state === "delayed"
  return (
    <div className={classes.nothing} data-testid="empty">
      <strong>{isLate ? "No usage counted in this view yet" : "No usage in this view"}</strong>
      <p>
        {VIEW_NAMES[breakdown.view]}, {format.days(breakdown.range.from, breakdown.range.to)}
        {url.surface ? ", selected surfaces" : ""}
        {ofSome ? ", selected people" : ""}.{" "}
        {isLate ? "Data is delayed, so there may be some." : "Usage appears here within seconds."}
      </p>
      {url.surface && (
        <Button variant="default" size="xs" onClick={() => change({ surface: undefined })}>
          Show all surfaces
        </Button>
      )}
      {ofSome && (
        <Button
          variant="default"
          size="xs"
          onClick={() => change({ actor: undefined, group: undefined, label: undefined })}
        >
          Show all people
        </Button>
      )}
      {!isLate && !ofSome && breakdown.product_shares.every(({ credits }) => isZero(credits)) && <FirstEvent />}
    </div>
  )
}
