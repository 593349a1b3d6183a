import { Pill } from "../../alerts/delivery/Pill"
import type { Schemas } from "../../api/client"
import { useFormat } from "../../format/useFormat"
import classes from "../Connections.module.css"
import { writeJson } from "../editor/write"
import { linesOf, outcomeOf, quoted } from "../words"

const TONES = {
  usage: ["good", "Counted"],
  ignored: ["quiet", "Ignored"],
  unplaced: ["bad", "Failed"],
  unmapped: ["bad", "Failed"],
  unreadable: ["bad", "Failed"],
} as const

/** What the mapping makes of one event. */
export function TriedEvent({ event }: { event: Schemas["TriedEvent"] }) {
  const format = useFormat()
  const [tone, word] = TONES[event.outcome]
  const { usage, failure } = event
  return (
    <li className={classes.result} data-testid="tried-event">
      <div className={classes.heading}>
        <Pill tone={tone}>{word}</Pill>
        <strong>{outcomeOf(event)}</strong>
      </div>
      {failure && <p className={classes.bad}>{quoted(failure.detail)}</p>}
      {usage && (
        <>
          <dl className={classes.lines}>
            {linesOf(usage).map(([name, text]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{text}</dd>
              </div>
            ))}
            <div>
              <dt>Time</dt>
              <dd>{format.second(new Date(String(usage.time)))}</dd>
            </div>
          </dl>
          <details>
            <summary>Event as FlexCredits stores it</summary>
            <pre>{writeJson(usage)}</pre>
          </details>
        </>
      )}
      {event.event !== null && (
        <details>
          <summary>Event as rules see it</summary>
          <pre>{writeJson(event.event)}</pre>
        </details>
      )}
      {event.id && (
        <small>
          Event id <code>{event.id}</code>
        </small>
      )}
    </li>
  )
}
