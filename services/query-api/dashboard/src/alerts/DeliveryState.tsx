import { Badge } from "@mantine/core"
import type { Schemas } from "../api/client"
import type { Format } from "../format"

const STATES = {
  sent: { color: "green", word: "Sent" },
  pending: { color: "yellow", word: "Waiting" },
  failed: { color: "red", word: "Failed" },
}

export function DeliveryState({ state }: { state: Schemas["Delivery"]["state"] }) {
  const { color, word } = STATES[state]
  return (
    <Badge color={color} variant="light" size="sm" radius="sm" tt="none">
      {word}
    </Badge>
  )
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
