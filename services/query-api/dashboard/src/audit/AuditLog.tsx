import { Button, Skeleton } from "@mantine/core"
import { useInfiniteQuery } from "@tanstack/react-query"
import type { Schemas } from "../api/client"
import { useFormat } from "../format/useFormat"
import { Failure } from "../ui/Failure"
import { roleName } from "../ui/labels"
import classes from "./Audit.module.css"
import { actionName, detailsOf } from "./details"
import { auditQuery } from "./queries"

export default function AuditLog() {
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(auditQuery)
  if (error && !data) return <Failure error={error} retry={() => void refetch()} />
  if (!data) return <Skeleton height={420} />
  const entries = data.pages.flatMap((page) => page.entries)
  return (
    <div className={classes.content}>
      <p className={classes.about}>Sign-ins, downloads, and changes in your organization, newest first.</p>
      {entries.length === 0 && <p className={classes.about}>No entries yet.</p>}
      <ol className={classes.entries}>
        {entries.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
      </ol>
      {hasNextPage && (
        <Button variant="default" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          Show older
        </Button>
      )}
    </div>
  )
}

function Entry({ entry }: { entry: Schemas["AuditEntry"] }) {
  const format = useFormat()
  const details = detailsOf(entry.details)
  return (
    <li data-testid="audit-entry">
      <strong>{actionName(entry.action)}</strong>
      <span>
        {entry.email || entry.subject} · {roleName(entry.role)}
      </span>
      <small>
        {format.second(new Date(entry.at))}
        {entry.ip && ` · ${entry.ip}`}
      </small>
      {details.length > 0 && (
        <ul>
          {details.map((detail) => (
            <li key={detail}>{detail}</li>
          ))}
        </ul>
      )}
    </li>
  )
}
