import { useDebouncedValue } from "@mantine/hooks"
import { useQuery } from "@tanstack/react-query"
import type { Schemas } from "../../api/client"
import { addDays } from "../../format/dates"
import { type Format, listOf, threshold as writeThreshold } from "../../format/format"
import { useFormat } from "../../format/useFormat"
import { mailsOf, type PeriodGroup, periodGroupsOf } from "../draft/previewGroups"
import classes from "../Manage.module.css"
import { previewQuery } from "../queries"

const AFTER_MS = 300
const SHOWN = 6

interface PreviewProps {
  part: "usage" | "monthly_budget"
  request: Schemas["PreviewRequest"]
}

/** Applies the form's settings to the organization's history: the alerts and their recipients. */
export function Preview({ part, request }: PreviewProps) {
  const format = useFormat()
  const [debounced] = useDebouncedValue(JSON.stringify(request), AFTER_MS)
  const { data, error, isPlaceholderData } = useQuery(previewQuery(JSON.parse(debounced) as Schemas["PreviewRequest"]))
  if (error) return <p className={classes.quiet}>No preview available: {error.message}</p>
  const found = data?.[part]
  if (!found) return <p className={classes.quiet}>Checking your history…</p>
  const groups = periodGroupsOf(found.firings)
  const isStale = isPlaceholderData || debounced !== JSON.stringify(request)
  return (
    <div className={classes.preview} data-stale={isStale} aria-live="polite" aria-busy={isStale}>
      <h4>Alerts you would have received</h4>
      {groups.length === 0 ? (
        <p>None so far{part === "monthly_budget" && " in the last 12 months"}.</p>
      ) : (
        <dl className={classes.firings}>
          {groups.slice(0, SHOWN).map((group) => (
            <Row key={group.id} group={group} format={format} />
          ))}
        </dl>
      )}
      {groups.length > SHOWN && <p>and {earlier(groups.length - SHOWN, part)}</p>}
      <p>{found.recipients.length === 0 ? "No recipients." : `Recipients: ${listOf(found.recipients)}.`}</p>
    </div>
  )
}

function earlier(count: number, part: PreviewProps["part"]): string {
  return `${count} earlier ${part === "usage" ? "credit period" : "month"}${count === 1 ? "" : "s"}`
}

function Row({ group, format }: { group: PeriodGroup; format: Format }) {
  return (
    <>
      <dt>{group.period ? format.days(group.period.from, addDays(group.period.to, -1)) : format.month(group.id)}</dt>
      <dd>
        {mailsOf(group).map(({ threshold, on, others }) => (
          <span key={threshold}>
            <b>{writeThreshold(threshold)}</b> on {format.shortDay(on)}
            {others.length > 0 && <small> (with {listOf(others.map(writeThreshold))})</small>}
          </span>
        ))}
      </dd>
    </>
  )
}
