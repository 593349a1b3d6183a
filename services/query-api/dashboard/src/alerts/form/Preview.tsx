import { useDebouncedValue } from "@mantine/hooks"
import { useQuery } from "@tanstack/react-query"
import type { Schemas } from "../../api/client"
import { addDays } from "../../format/dates"
import { type Format, listOf, threshold as writeThreshold } from "../../format/format"
import { useFormat } from "../../format/useFormat"
import { mailsOf, type Occasion, occasionsOf } from "../draft/previewGroups"
import classes from "../Manage.module.css"
import { previewQuery } from "../queries"

const AFTER_MS = 300
const SHOWN = 6

interface PreviewProps {
  part: "usage" | "monthly_budget"
  asked: Schemas["AskedPreview"]
}

/** What these settings would have done over the organization's own history, and who would have been notified. */
export function Preview({ part, asked }: PreviewProps) {
  const format = useFormat()
  const [settled] = useDebouncedValue(JSON.stringify(asked), AFTER_MS)
  const { data, error, isPlaceholderData } = useQuery(previewQuery(JSON.parse(settled) as Schemas["AskedPreview"]))
  if (error) return <p className={classes.quiet}>No preview available: {error.message}</p>
  const found = data?.[part]
  if (!found) return <p className={classes.quiet}>Checking your history…</p>
  const occasions = occasionsOf(found.firings)
  const isStale = isPlaceholderData || settled !== JSON.stringify(asked)
  return (
    <div className={classes.preview} data-stale={isStale} aria-live="polite" aria-busy={isStale}>
      <h4>Alerts you would have received</h4>
      {occasions.length === 0 ? (
        <p>None so far{part === "monthly_budget" && " in the last 12 months"}.</p>
      ) : (
        <dl className={classes.firings}>
          {occasions.slice(0, SHOWN).map((occasion) => (
            <Row key={occasion.id} occasion={occasion} format={format} />
          ))}
        </dl>
      )}
      {occasions.length > SHOWN && <p>and {earlier(occasions.length - SHOWN, part)}</p>}
      <p>{found.recipients.length === 0 ? "No recipients." : `Recipients: ${listOf(found.recipients)}.`}</p>
    </div>
  )
}

function earlier(count: number, part: PreviewProps["part"]): string {
  return `${count} earlier ${part === "usage" ? "credit period" : "month"}${count === 1 ? "" : "s"}`
}

function Row({ occasion, format }: { occasion: Occasion; format: Format }) {
  return (
    <>
      <dt>
        {occasion.period
          ? format.days(occasion.period.from, addDays(occasion.period.to, -1))
          : format.month(occasion.id)}
      </dt>
      <dd>
        {mailsOf(occasion).map(({ threshold, on, others }) => (
          <span key={threshold}>
            <b>{writeThreshold(threshold)}</b> on {format.shortDay(on)}
            {others.length > 0 && <small> (with {listOf(others.map(writeThreshold))})</small>}
          </span>
        ))}
      </dd>
    </>
  )
}
