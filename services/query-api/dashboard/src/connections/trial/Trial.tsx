import { Button, NativeSelect } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import classes from "../Connections.module.css"
import { JsonEditor, type Mistake } from "../editor/JsonEditor"
import { findPlaces } from "../editor/places"
import { CLIENTS, type Protocol } from "../protocols"
import { readyMadeQuery, type Trial as Tried } from "../queries"
import { quoted } from "../words"
import { TriedEvent } from "./TriedEvent"

interface Props {
  protocol: Protocol
  protocols: Protocol[]
  setProtocol: (protocol: Protocol) => void
  /** The selected ready-made mapping; its example is offered if it has the protocol. */
  readyMade: string
  event: string
  setEvent: (event: string) => void
  tried: Tried | undefined
  /** The mapping has no mistakes. */
  isReady: boolean
  /** `tried` is the result of what is shown. */
  isCurrent: boolean
  error: Error | null
}

/** A pasted event, and what the unsaved mapping makes of it. */
export function Trial(props: Props) {
  const { protocol, protocols, setProtocol, event, setEvent, tried, isReady, isCurrent, error } = props
  const examples = useQuery(readyMadeQuery).data?.mappings.filter((each) => each.protocol === protocol) ?? []
  const example = (examples.find(({ name }) => name === props.readyMade) ?? examples[0])?.example
  const isPasted = event.trim() !== ""
  const results = isReady && isPasted && tried ? tried.events : []
  return (
    <section className={classes.panel} aria-labelledby="trial">
      <h2 id="trial">Try it on an event</h2>
      <NativeSelect
        label="Sent as"
        value={protocol}
        onChange={({ currentTarget }) => setProtocol(currentTarget.value as Protocol)}
        data={protocols.map((each) => ({ value: each, label: CLIENTS[each].name }))}
      />
      <JsonEditor
        label="Event"
        about="Paste what the program sends: one event, or several. It is not stored."
        text={event}
        mistakes={isPasted && isReady ? mistakesIn(event, tried) : []}
        rows={8}
        onChange={setEvent}
      />
      {!isPasted && example && (
        <div className={classes.actions}>
          <Button variant="default" size="xs" onClick={() => setEvent(example)}>
            Insert an example
          </Button>
        </div>
      )}
      <p role="status" className={classes.quiet}>
        {error ? (
          <span className={classes.bad}>{error.message}</span>
        ) : (
          isPasted && (isReady ? isCurrent && summaryOf(tried) : "The mapping has mistakes.")
        )}
      </p>
      <ol className={classes.results} data-stale={!isCurrent}>
        {results.map((each, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: ids of a pasted batch may repeat
          <TriedEvent key={index} event={each} />
        ))}
      </ol>
    </section>
  )
}

/** The event that cannot be read, or the value that failed; in a batch, pointers are relative to its events. */
function mistakesIn(text: string, tried: Tried | undefined): Mistake[] {
  if (!tried) return []
  if (tried.unreadable !== null) {
    const { mistake } = findPlaces(text)
    return [{ place: mistake && { from: mistake.at, to: mistake.at + 1 }, detail: tried.unreadable }]
  }
  const [only, ...others] = tried.events
  if (!only?.failure || others.length > 0 || !text.trimStart().startsWith("{")) return []
  const { pointer, detail } = only.failure
  const places = findPlaces(text)
  // A missing value has no place; its object has. Pointers into an OTLP signal lead nowhere in the request around it.
  const place = places.byPointer.get(pointer) ?? places.byPointer.get(pointer.slice(0, pointer.lastIndexOf("/")))
  return pointer !== "" && place ? [{ place, detail: quoted(detail) }] : []
}

function summaryOf(tried: Tried | undefined): string {
  if (!tried || tried.unreadable !== null) return ""
  const counted = tried.events.filter(({ outcome }) => outcome === "usage").length
  if (tried.events.length === 0) return "The text contains no event."
  if (tried.events.length === 1) return counted === 1 ? "The event is counted." : "The event is not counted."
  return `${counted} of ${tried.events.length} events are counted.`
}
