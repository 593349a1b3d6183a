import { Button } from "@mantine/core"
import { IconChevronRight } from "@tabler/icons-react"
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query"
import { useState } from "react"
import type { Schemas } from "../api/client"
import { addDays } from "../dates"
import type { Format } from "../format"
import { Failure } from "../shell/Failure"
import { useFormat } from "../shell/useFormat"
import { DeliveryState } from "./DeliveryState"
import classes from "./Manage.module.css"
import { Waiting } from "./ManageDrawer"
import { Pill } from "./Pill"
import { alertQuery, historyQuery, resend, WATCH_MAIL_EVERY_MS } from "./queries"
import { Tries } from "./Tries"

/** Everything that was announced, newest first, with what became of every mail. */
export function History() {
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(historyQuery)
  if (error && !data) {
    return (
      <div className={classes.history}>
        <Failure error={error} retry={() => void refetch()} />
      </div>
    )
  }
  if (!data) return <Waiting />
  const alerts = data.pages.flatMap((page) => page.alerts)
  return (
    <div className={classes.history}>
      {alerts.length === 0 && (
        <p className={classes.quiet}>
          No threshold has been met yet. When one is, it is listed here with every mail that was sent for it.
        </p>
      )}
      {alerts.map((alert) => (
        <Item key={alert.id} alert={alert} />
      ))}
      {hasNextPage && (
        <Button variant="default" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          Show older ones
        </Button>
      )}
    </div>
  )
}

function Item({ alert }: { alert: Schemas["Alert"] }) {
  const format = useFormat()
  const [isOpen, setOpen] = useState(false)
  return (
    <details className={classes.alert} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>
        <IconChevronRight size={16} stroke={1.8} aria-hidden="true" />
        <strong>
          {alert.threshold} % of {alert.rule === "usage" ? "the available credits" : "the monthly budget"}
        </strong>
        <Pill tone={alert.state === "met" ? "warning" : "quiet"}>{alert.state === "met" ? "Met" : "Resolved"}</Pill>
        <small>
          {alert.rule === "usage"
            ? `Credit period ${format.days(alert.period.from, addDays(alert.period.to, -1))}`
            : format.month(alert.period.from)}
          : {format.credits(alert.used)} of {format.credits(alert.available)}
        </small>
        <small>
          {format.moment(new Date(alert.fired_at))}, {toldIn(alert)}
        </small>
      </summary>
      {isOpen && <Detail id={alert.id} alert={alert} format={format} />}
    </details>
  )
}

/** Who was told, in a few words. */
function toldIn(alert: Schemas["Alert"]): string {
  if (alert.nobody_to_tell) return "nobody to tell"
  if (alert.told === "with_higher") return "told with the higher threshold"
  if (alert.told === "silent") return "not told: a higher one was announced before"
  if (alert.told === "history") return "not told: its period had ended long before"
  const counts = (["sent", "pending", "failed"] as const)
    .map((state) => [alert.deliveries.filter((one) => one.state === state).length, state] as const)
    .filter(([count]) => count > 0)
  return counts.map(([count, state]) => `${count} ${state === "pending" ? "waiting" : state}`).join(", ")
}

function Detail({ id, alert, format }: { id: string; alert: Schemas["Alert"]; format: Format }) {
  const client = useQueryClient()
  const again = useMutation({
    mutationFn: (recipient: string | null) => resend(id, recipient),
    onSettled: () =>
      Promise.all([
        client.invalidateQueries({ queryKey: alertQuery(id).queryKey }),
        client.invalidateQueries({ queryKey: historyQuery.queryKey }),
      ]),
  })
  const { data, error } = useQuery({
    ...alertQuery(id),
    // What was asked for is under way a moment later.
    ...(again.isSuccess && { refetchInterval: WATCH_MAIL_EVERY_MS }),
  })
  if (error) return <div role="alert">{error.message}</div>
  if (!data) return <div>Loading…</div>
  const failed = new Set(data.deliveries.filter((one) => one.state === "failed").map((one) => one.recipient))
  return (
    <div>
      {(alert.episode > 1 || alert.resolved_at) && (
        <p>
          {alert.episode > 1 && `Met for the ${alert.episode}${ordinal(alert.episode)} time. `}
          {alert.resolved_at && `Resolved ${format.moment(new Date(alert.resolved_at))}: ${resolutionOf(alert)}.`}
        </p>
      )}
      {data.deliveries.map((delivery) => (
        <div key={`${delivery.recipient} ${delivery.created_at}`} className={classes.delivery}>
          <div>
            <span>{delivery.recipient}</span>
            <DeliveryState state={delivery.state} />
            {delivery.state === "failed" && (
              <Button
                size="compact-xs"
                variant="default"
                aria-label={`Send again to ${delivery.recipient}`}
                disabled={again.isPending}
                onClick={() => again.mutate(delivery.recipient)}
              >
                Send again
              </Button>
            )}
          </div>
          <Tries of={delivery} />
        </div>
      ))}
      {failed.size > 1 && (
        <Button size="xs" mt="xs" loading={again.isPending} onClick={() => again.mutate(null)}>
          Send again to everybody whose mail failed
        </Button>
      )}
      <p role="status">
        {again.isSuccess && "It is on its way again."}
        {again.error && <span style={{ color: "var(--mantine-color-error)" }}>{again.error.message}</span>}
      </p>
    </div>
  )
}

function resolutionOf(alert: Schemas["Alert"]): string {
  return alert.resolution === "removed" ? "the threshold or its period was removed" : "usage is under it again"
}

function ordinal(count: number): string {
  const teen = count % 100 > 10 && count % 100 < 14
  return teen ? "th" : (["th", "st", "nd", "rd"][count % 10] ?? "th")
}
