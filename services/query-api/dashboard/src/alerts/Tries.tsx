import type { Schemas } from "../api/client"
import { useFormat } from "../shell/useFormat"
import classes from "./Manage.module.css"

type Sent = Pick<Schemas["ChannelDelivery"], "tries" | "state" | "next_attempt_at">

/** Every attempt to send something, and when the next one is. */
export function Tries({ of: { tries, state, next_attempt_at } }: { of: Sent }) {
  const format = useFormat()
  return (
    <ol className={classes.tries}>
      {tries.map((one) => (
        <li key={one.attempt}>
          Attempt {one.attempt}, {format.moment(new Date(one.at))}: {one.outcome}
          {one.detail && ` (${one.detail})`}
        </li>
      ))}
      {state === "pending" && next_attempt_at && <li>Next attempt {format.time(new Date(next_attempt_at))}</li>}
    </ol>
  )
}
