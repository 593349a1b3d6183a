import type { Schemas } from "../../api/client"
import type { Format } from "../../format/format"
import { Pill } from "./Pill"
import { reasonOf } from "./reasons"

const STATES = {
  sent: { tone: "good", word: "Sent" },
  pending: { tone: "warning", word: "Waiting" },
  failed: { tone: "bad", word: "Failed" },
} as const

export function DeliveryState({ state }: { state: Schemas["Delivery"]["state"] }) {
  const { tone, word } = STATES[state]
  return <Pill tone={tone}>{word}</Pill>
}

/** A sentence about the delivery of an email. */
export function describeDelivery(mail: Schemas["Delivery"], format: Format): string {
  if (mail.state === "sent") return `to ${mail.recipient} · ${format.moment(new Date(mail.sent_at ?? mail.created_at))}`
  const attempts = `${format.count(mail.attempts)} ${mail.attempts === 1 ? "attempt" : "attempts"}`
  const why = mail.last_error ? `: ${reasonOf(mail.last_error)}` : ""
  if (mail.state === "failed") return `to ${mail.recipient} after ${attempts}${why}`
  if (mail.attempts === 0) return `to send to ${mail.recipient}`
  const next = mail.next_attempt_at ? `. Retrying at ${format.time(new Date(mail.next_attempt_at))}` : ""
  return `to send to ${mail.recipient} (${attempts})${why}${next}`
}
