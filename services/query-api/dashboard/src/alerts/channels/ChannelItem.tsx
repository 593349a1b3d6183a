import { Button } from "@mantine/core"
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query"
import { useState } from "react"
import type { Schemas } from "../../api/client"
import { useFormat } from "../../format/useFormat"
import { AttemptLog } from "../delivery/AttemptLog"
import { DeliveryState } from "../delivery/DeliveryState"
import { Pill } from "../delivery/Pill"
import classes from "../Manage.module.css"
import { type Channel, channelDeliveriesQuery, channelsQuery, KINDS, removeChannel, testChannel } from "./channels"

const EVENTS = { fired: "Threshold reached", resolved: "Resolved", test: "Test" } as const

/** A channel: its address, its state, and its deliveries. */
export function ChannelItem({ channel, mayChange }: { channel: Channel; mayChange: boolean }) {
  const format = useFormat()
  const client = useQueryClient()
  const [isOpen, setOpen] = useState(false)
  const [isSure, setSure] = useState(false)
  const remove = useMutation({
    mutationFn: () => removeChannel(channel.id),
    onSuccess: () => client.invalidateQueries({ queryKey: channelsQuery.queryKey }),
  })
  const test = useMutation({
    mutationFn: () => testChannel(channel.id),
    onSuccess: () => {
      setOpen(true)
      return client.invalidateQueries({ queryKey: channelDeliveriesQuery(channel.id).queryKey })
    },
  })
  const failure = remove.error ?? test.error
  return (
    <li className={classes.section} data-testid="channel">
      <div className={classes.heading}>
        <h3>{channel.name}</h3>
        <span className={classes.by}>{KINDS[channel.kind]}</span>
        {channel.state === "stopped" && <Pill tone="bad">Stopped</Pill>}
      </div>
      <p className={classes.quiet}>
        {channel.url} · Added by {channel.created_by}, {format.moment(new Date(channel.created_at))}
      </p>
      {channel.stopped_at && (
        <p className={classes.quiet}>
          Stopped {format.moment(new Date(channel.stopped_at))}: {channel.stop_reason}. To resume, remove the channel
          and add it again.
        </p>
      )}
      <div className={classes.mails}>
        {mayChange && channel.state === "active" && (
          <Button size="xs" variant="default" loading={test.isPending} onClick={() => test.mutate()}>
            Send test
          </Button>
        )}
        <Button size="xs" variant="default" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? "Hide deliveries" : "Deliveries"}
        </Button>
        {mayChange && !isSure && (
          <Button size="xs" variant="subtle" color="red" onClick={() => setSure(true)}>
            Remove
          </Button>
        )}
        {isSure && (
          <fieldset className={classes.sure}>
            <legend className="visually-hidden">Remove {channel.name}?</legend>
            <Button
              size="xs"
              variant="default"
              c="var(--bad)"
              loading={remove.isPending}
              onClick={() => remove.mutate()}
            >
              Remove channel
            </Button>
            <Button size="xs" variant="default" data-autofocus onClick={() => setSure(false)}>
              Keep
            </Button>
          </fieldset>
        )}
      </div>
      {failure && (
        <p role="alert" className={classes.quiet} style={{ color: "var(--mantine-color-error)" }}>
          {failure.message}
        </p>
      )}
      {isOpen && <Deliveries id={channel.id} />}
    </li>
  )
}

function Deliveries({ id }: { id: string }) {
  const { data, error, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(channelDeliveriesQuery(id))
  if (error && !data) return <p role="alert">{error.message}</p>
  if (!data) return <p className={classes.quiet}>Loading…</p>
  const deliveries = data.pages.flatMap((page) => page.deliveries)
  return (
    <div className={classes.sent}>
      {deliveries.length === 0 && <p className={classes.quiet}>No deliveries yet.</p>}
      {deliveries.map((one) => (
        <Delivery key={one.event_id} delivery={one} />
      ))}
      {hasNextPage && (
        <Button size="xs" variant="default" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          Show older
        </Button>
      )}
    </div>
  )
}

function Delivery({ delivery }: { delivery: Schemas["ChannelDelivery"] }) {
  const format = useFormat()
  return (
    <div className={classes.delivery}>
      <div>
        <span>
          {EVENTS[delivery.event]}, {format.moment(new Date(delivery.created_at))}
        </span>
        <DeliveryState state={delivery.state} />
      </div>
      <AttemptLog of={delivery} />
    </div>
  )
}
