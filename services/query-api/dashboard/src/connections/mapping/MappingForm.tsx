import { useDebouncedValue } from "@mantine/hooks"
import { keepPreviousData, useQuery } from "@tanstack/react-query"
import { useMemo, useState } from "react"
import classes from "../Connections.module.css"
import { JsonEditor, type Mistake } from "../editor/JsonEditor"
import { findPlaces, type Places, placeOf } from "../editor/places"
import { writeJson } from "../editor/write"
import { CLIENTS, PROTOCOLS, type Protocol, protocolsOf } from "../protocols"
import { type ApiKey, type Mapping, type Trial as Tried, trialQuery } from "../queries"
import { ClientSettings } from "../trial/ClientSettings"
import { Trial } from "../trial/Trial"
import { quoted, wordsOf } from "../words"
import type { Draft } from "./draft"
import { Footer } from "./Footer"
import { StartFrom } from "./StartFrom"

interface Props {
  apiKey: ApiKey
  saved: Mapping
  draft: Draft | undefined
  setDraft: (draft: Draft | undefined) => void
}

const TRY_AFTER_MS = 300

/** The editor of a mapping, with a trial of the unsaved text. */
export function MappingForm({ apiKey, saved, draft, setDraft }: Props) {
  const savedText = useMemo(() => (saved.document ? writeJson(saved.document) : ""), [saved.document])
  const text = draft?.text ?? savedText
  const version = draft?.version ?? saved.version
  const places = useMemo(() => findPlaces(text), [text])
  const protocols = useMemo(() => protocolsOf(parse(text)), [text])
  const [chosen, setProtocol] = useState<Protocol>()
  const protocol = chosen ?? protocols[0] ?? "openmeter"
  const [event, setEvent] = useState("")
  const [readyMade, setReadyMade] = useState("")

  const isJson = text.trim() !== "" && !places.mistake
  const [asked] = useDebouncedValue(
    useMemo(() => ({ text, protocol, event }), [text, protocol, event]),
    TRY_AFTER_MS,
  )
  const isAsked = asked.text.trim() !== "" && !findPlaces(asked.text).mistake
  const trial = useQuery({
    ...trialQuery(asked.text, asked.protocol, asked.event),
    enabled: isAsked,
    placeholderData: keepPreviousData,
  })
  const isCurrent =
    !trial.isPlaceholderData && asked.text === text && asked.protocol === protocol && asked.event === event
  const tried = isJson && isAsked ? trial.data : undefined
  const mistakes = text.trim() === "" ? [] : mistakesIn(text, places, tried)

  const change = (changed: string, before?: string) =>
    setDraft(changed === savedText ? undefined : { text: changed, version, before })
  return (
    <>
      <div className={classes.columns}>
        <section className={classes.panel} aria-labelledby="mapping">
          <h2 id="mapping">Mapping of {apiKey.id}</h2>
          <StartFrom
            name={readyMade}
            setName={setReadyMade}
            use={(mapping) => change(writeJson(mapping.document), text)}
            undo={draft?.before === undefined ? undefined : () => change(draft.before ?? "")}
          />
          <JsonEditor
            label="Mapping (JSON)"
            about="The first rule that matches an event applies. Pointers such as /data/model lead to values of the event."
            text={text}
            mistakes={mistakes}
            rows={14}
            onChange={change}
          />
          <Footer
            apiKey={apiKey}
            saved={saved}
            draft={draft}
            isValid={isJson && isCurrent && mistakes.length === 0}
            isWrong={mistakes.length > 0}
            setDraft={setDraft}
          />
        </section>
        <Trial
          protocol={protocol}
          protocols={[...protocols, ...PROTOCOLS.filter((each) => !protocols.includes(each))]}
          setProtocol={setProtocol}
          readyMade={readyMade}
          event={event}
          setEvent={setEvent}
          tried={tried}
          isReady={isJson && mistakes.length === 0}
          isCurrent={isCurrent}
          error={isAsked ? trial.error : null}
        />
      </div>
      {protocols.length > 0 && (
        <ClientSettings protocols={protocols} names={protocols.map((each) => CLIENTS[each].name)} />
      )}
    </>
  )
}

function mistakesIn(text: string, places: Places, tried: Tried | undefined): Mistake[] {
  const { mistake } = places
  if (mistake) {
    const place = { from: mistake.at, to: Math.min(mistake.at + 1, text.length) }
    return [{ place, where: "Not JSON", detail: mistake.detail }]
  }
  return (tried?.mistakes ?? []).map(({ pointer, detail }) => ({
    place: placeOf(pointer ?? "", places),
    where: wordsOf(pointer ?? ""),
    detail: quoted(detail),
  }))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
