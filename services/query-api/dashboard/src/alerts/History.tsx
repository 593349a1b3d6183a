import { Button } from "@mantine/core"
import { IconChevronRight } from "@tabler/icons-react"
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query"
import { useState } from "react"
import type { Schemas } from "../api/client"
import { addDays } from "../format/dates"
import { type Format, threshold } from "../format/format"
import { useFormat } from "../format/useFormat"
import { Failure } from "../ui/Failure"
import { PanelSkeleton } from "../ui/PanelSkeleton"
import { AttemptLog } from "./delivery/AttemptLog"
import { DeliveryState } from "./delivery/DeliveryState"
import { Pill } from "./delivery/Pill"
import classes from "./Manage.module.css"
import { alertQuery, historyQuery, resend, WATCH_MAIL_EVERY_MS } from "./queries"

/** All alerts, newest first, with the state of every mail. */
export function History() {
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(historyQuery)
  const [showsUnsent, setShowsUnsent] = useState(false)
  if (error && !data) {
    return (
      <div className={classes.history}>
        <Failure error={error} retry={() => void refetch()} />
      </div>
    )
  }
  if (!data) return <PanelSkeleton />
  const all = data.pages.flatMap((page) => page.alerts)
  const alerts = showsUnsent ? all : all.filter(wasToBeSent)
  return (
    <div className={classes.history}>
      {all.length === 0 && (
        <p className={classes.quiet}>
          No alerts yet. When a threshold is reached, it appears here with every email that was sent.
        </p>
      )}
      {alerts.map((alert) => (
        <Item key={alert.id} alert={alert} higher={higherOf(alert, all)} />
      ))}
      {alerts.length < all.length && (
        <Button variant="subtle" size="xs" onClick={() => setShowsUnsent(true)}>
          Show {all.length - alerts.length} not sent
        </Button>
      )}
      {hasNextPage && (
        <Button variant="default" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          Show older
        </Button>
      )}
    </div>
  )
}

/** Whether the alert was to be sent. Others are only recorded: the period was over, or a higher threshold was announced before. */
function wasToBeSent({ notification }: Schemas["Alert"]): boolean {
  return notification === "sent" || notification === "bundled"
}

/** The highest threshold that was reached at the same instant; its email covers this one too. */
function higherOf(
  { rule, kind, period, fired_at, threshold }: Schemas["Alert"],
  all: Schemas["Alert"][],
): number | undefined {
  const same = all.filter(
    (one) =>
      one.rule === rule &&
      one.kind === kind &&
      (one.period.key ?? one.period.id) === (period.key ?? period.id) &&
      one.fired_at === fired_at,
  )
  const highest = Math.max(...same.map((one) => one.threshold))
  return highest > threshold ? highest : undefined
}

function Item({ alert, higher }: { alert: Schemas["Alert"]; higher: number | undefined }) {
  const format = useFormat()
  const level = format.level(alert.used, alert.available)
  const [isOpen, setOpen] = useState(false)
  return (
    <details className={classes.alert} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>
        <IconChevronRight size={16} stroke={1.8} aria-hidden="true" />
        <strong>
          {alert.kind === "projected" && "Projected: "}
          {threshold(alert.threshold)} of {alert.rule === "usage" ? "available credits" : "the monthly budget"}
        </strong>
        <Pill tone={alert.state === "met" ? "warning" : "quiet"}>{stateOf(alert)}</Pill>
        <small>
          {alert.rule === "usage"
            ? `Credit period ${format.days(alert.period.from, addDays(alert.period.to, -1))}`
            : format.month(alert.period.from)}
          : {level.used} of {level.available}
          {alert.passed_on?.p50 && ` · projected for ${format.day(alert.passed_on.p50)}`}
        </small>
        <small>
          {format.moment(new Date(alert.fired_at))} · {notifiedIn(alert, higher)}
        </small>
      </summary>
      {isOpen && <Detail id={alert.id} alert={alert} format={format} />}
    </details>
  )
}

function stateOf({ state, kind }: Schemas["Alert"]): string {
  if (state === "resolved") return "Resolved"
  return kind === "projected" ? "Projected" : "Reached"
}

/** A short text about the notifications of an alert. */
function notifiedIn(alert: Schemas["Alert"], higher: number | undefined): string {
  if (alert.no_recipients) return "No recipients"
  if (alert.notification === "bundled") return `Sent with the ${higher ? threshold(higher) : "higher"} alert`
  if (alert.notification === "suppressed") {
    return alert.kind === "projected" ? "Not sent: an alert came first" : "Not sent: a higher alert came first"
  }
  if (alert.notification === "backfilled") return "Not sent: period already over"
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
    // The requested mail appears in the list shortly afterwards.
    ...(again.isSuccess && { refetchInterval: WATCH_MAIL_EVERY_MS }),
  })
  if (error) return <div role="alert">{error.message}</div>
  if (!data) return <div>Loading…</div>
  const failed = new Set(data.deliveries.filter((one) => one.state === "failed").map((one) => one.recipient))
  return (
    <div>
      {(alert.episode > 1 || alert.resolved_at) && (
        <p>
          {alert.episode > 1 && `Reached for the ${alert.episode}${ordinal(alert.episode)} time. `}
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
                aria-label={`Resend to ${delivery.recipient}`}
                disabled={again.isPending}
                onClick={() => again.mutate(delivery.recipient)}
              >
                Resend
              </Button>
            )}
          </div>
          <AttemptLog of={delivery} />
        </div>
      ))}
      {failed.size > 1 && (
        <Button size="xs" mt="xs" loading={again.isPending} onClick={() => again.mutate(null)}>
          Resend to all failed recipients
        </Button>
      )}
      <p role="status">
        {again.isSuccess && "Resending…"}
        {again.error && <span style={{ color: "var(--mantine-color-error)" }}>{again.error.message}</span>}
      </p>
    </div>
  )
}

function resolutionOf(alert: Schemas["Alert"]): string {
  return alert.resolution === "removed"
    ? "the threshold or its period was removed"
    : "usage is below the threshold again"
}

function ordinal(count: number): string {
  const teen = count % 100 > 10 && count % 100 < 14
  return teen ? "th" : (["th", "st", "nd", "rd"][count % 10] ?? "th")
}
