import { useDebouncedValue } from "@mantine/hooks"
import { useQuery } from "@tanstack/react-query"
import type { Schemas } from "../api/client"
import { addDays } from "../dates"
import type { Format } from "../format"
import { useFormat } from "../shell/useFormat"
import classes from "./Manage.module.css"
import { listOf, mailsOf, type Occasion, occasionsOf } from "./occasions"
import { previewQuery } from "./queries"

const AFTER_MS = 300
const SHOWN = 6

interface PreviewProps {
  part: "usage" | "monthly_budget"
  asked: Schemas["AskedPreview"]
}

/** What these settings would have done over the organization's own history, and whom they would have told. */
export function Preview({ part, asked }: PreviewProps) {
  const format = useFormat()
  const [settled] = useDebouncedValue(JSON.stringify(asked), AFTER_MS)
  const { data, error, isPlaceholderData } = useQuery(previewQuery(JSON.parse(settled) as Schemas["AskedPreview"]))
  if (error) return <p className={classes.quiet}>No preview: {error.message}</p>
  const found = data?.[part]
  if (!found) return <p className={classes.quiet}>Looking at your history…</p>
  const occasions = occasionsOf(found.firings)
  const isStale = isPlaceholderData || settled !== JSON.stringify(asked)
  return (
    <div className={classes.preview} data-stale={isStale} aria-live="polite" aria-busy={isStale}>
      <h4>When it would have fired</h4>
      {occasions.length === 0 ? (
        <p>Never so far: {part === "usage" ? "no credit period" : "no month of the last twelve"} met a threshold.</p>
      ) : (
        <dl className={classes.firings}>
          {occasions.slice(0, SHOWN).map((occasion) => (
            <Row key={occasion.id} occasion={occasion} format={format} />
          ))}
        </dl>
      )}
      {occasions.length > SHOWN && <p>And in {occasions.length - SHOWN} earlier ones.</p>}
      <p>
        {found.recipients.length === 0
          ? "There would have been nobody to tell."
          : `It would have told ${listOf(found.recipients)}.`}
      </p>
    </div>
  )
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
            <b>{threshold} %</b> on {format.shortDay(on)}
            {others.length > 0 && <small> (with {listOf(others.map((other) => `${other} %`))})</small>}
          </span>
        ))}
      </dd>
    </>
  )
}
