import type { Schemas } from "../../api/client"
import { useFormat } from "../../format/useFormat"
import classes from "../Manage.module.css"
import { reasonOf } from "./reasons"

type Sent = Pick<Schemas["ChannelDelivery"], "attempt_log" | "state" | "next_attempt_at">

const ENDED = { sent: "delivered", deferred: "failed", refused: "rejected" } as const

/** Every attempt to send a message, and the time of the next one. */
export function AttemptLog({ of: { attempt_log, state, next_attempt_at } }: { of: Sent }) {
  const format = useFormat()
  return (
    <ol className={classes.attempts}>
      {attempt_log.map((one) => (
        <li key={one.attempt}>
          Attempt {one.attempt} {ENDED[one.outcome]}
          {one.outcome !== "sent" && one.detail && `: ${reasonOf(one.detail)}`} · {format.second(new Date(one.at))}
        </li>
      ))}
      {state === "pending" && attempt_log.length > 0 && next_attempt_at && (
        <li>Retrying at {format.time(new Date(next_attempt_at))}</li>
      )}
    </ol>
  )
}
