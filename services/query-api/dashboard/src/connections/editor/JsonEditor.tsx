import { type ReactNode, type Ref, useId, useRef } from "react"
import classes from "./JsonEditor.module.css"
import { lineAt, type Place } from "./places"

/** Something wrong in the text. Without a place it concerns the whole text. */
export interface Mistake {
  place?: Place | undefined
  /** Where it is, in words: "Rule 2, usage, feature". */
  where?: string | undefined
  detail: string
}

interface Props {
  label: string
  about?: ReactNode
  text: string
  mistakes: Mistake[]
  rows: number
  placeholder?: string
  onChange: (text: string) => void
  textRef?: Ref<HTMLTextAreaElement>
}

const LINES_MAX = 5_000

/** A field for JSON, with numbered lines. Mistakes are listed below it; each leads to its place. */
export function JsonEditor({ label, about, text, mistakes, rows, placeholder, onChange }: Props) {
  const id = useId()
  const field = useRef<HTMLTextAreaElement>(null)
  const scroller = useRef<HTMLDivElement>(null)
  const lines = Math.min(text.split("\n").length, LINES_MAX)
  const wrong = new Set(mistakes.flatMap(({ place }) => (place ? [lineAt(text, place.from)] : [])))

  function select(place: Place) {
    const [area, box] = [field.current, scroller.current]
    if (!area || !box) return
    area.focus({ preventScroll: true })
    area.setSelectionRange(place.from, place.to)
    const height = area.scrollHeight / Math.max(lines, rows)
    box.scrollTop = (lineAt(text, place.from) - 3) * height
    box.scrollIntoView({ block: "nearest" })
  }

  return (
    <div className={classes.editor}>
      <label htmlFor={id}>{label}</label>
      {about && (
        <p id={`${id}-about`} className={classes.about}>
          {about}
        </p>
      )}
      <div ref={scroller} className={classes.scroller} data-wrong={mistakes.length > 0}>
        <div className={classes.numbers} aria-hidden="true">
          {Array.from({ length: lines }, (_, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a line is its number
            <span key={index} data-wrong={wrong.has(index + 1)}>
              {index + 1}
            </span>
          ))}
        </div>
        <textarea
          ref={field}
          id={id}
          rows={Math.max(lines, rows)}
          wrap="off"
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          autoCorrect="off"
          placeholder={placeholder}
          value={text}
          aria-invalid={mistakes.length > 0}
          aria-describedby={[about && `${id}-about`, mistakes.length > 0 && `${id}-mistakes`].filter(Boolean).join(" ")}
          onChange={({ currentTarget }) => onChange(currentTarget.value)}
        />
      </div>
      {mistakes.length > 0 && (
        <ul id={`${id}-mistakes`} className={classes.mistakes}>
          {mistakes.map(({ place, where, detail }) => (
            <li key={`${where} ${place?.from} ${detail}`}>
              {place && (
                <button type="button" onClick={() => select(place)}>
                  Line {lineAt(text, place.from)}
                </button>
              )}
              <span>
                {where && <strong>{where}: </strong>}
                {detail}
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}
