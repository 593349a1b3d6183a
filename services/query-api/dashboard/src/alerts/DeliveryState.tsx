import type { Schemas } from "../api/client"
import type { Format } from "../format"
import { Pill } from "./Pill"

const STATES = {
  sent: { tone: "good", word: "Sent" },
  pending: { tone: "warning", word: "Waiting" },
  failed: { tone: "bad", word: "Failed" },
} as const

export function DeliveryState({ state }: { state: Schemas["Delivery"]["state"] }) {
  const { tone, word } = STATES[state]
  return <Pill tone={tone}>{word}</Pill>
}

/** What became of a mail, in a sentence. */
export function wordsOf(mail: Schemas["Delivery"], format: Format): string {
  if (mail.state === "sent") return `to ${mail.recipient}, ${format.moment(new Date(mail.sent_at ?? mail.created_at))}`
  const tries = `${format.count(mail.attempts)} ${mail.attempts === 1 ? "attempt" : "attempts"}`
  const why = mail.last_error ? `: ${mail.last_error}` : ""
  if (mail.state === "failed") return `to ${mail.recipient}, after ${tries}${why}`
  const next = mail.attempts > 0 && mail.next_attempt_at ? `, again ${format.time(new Date(mail.next_attempt_at))}` : ""
  return `for the mail server, to ${mail.recipient}, ${tries}${why}${next}`
}
