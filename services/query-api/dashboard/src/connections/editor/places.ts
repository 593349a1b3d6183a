/** Where a value stands in a text: offsets of its first character and behind its last one. */
export interface Place {
  from: number
  to: number
}

/** Why a text is not JSON, and the offset. */
export interface SyntaxMistake {
  at: number
  detail: string
}

export interface Places {
  byPointer: Map<string, Place>
  mistake?: SyntaxMistake
}

const DEPTH_MAX = 64
const SPACE = /[ \t\n\r]*/y
const STRING = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y

/** The place of each value of a JSON text by its JSON Pointer (RFC 6901), up to the first mistake. */
export function findPlaces(text: string): Places {
  const byPointer = new Map<string, Place>()
  let at = 0

  /** Skips white space, then takes what matches here. */
  const take = (pattern: RegExp): string | undefined => {
    SPACE.lastIndex = at
    SPACE.test(text)
    at = SPACE.lastIndex
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    at += found?.length ?? 0
    return found
  }
  const expect = (what: string): never => {
    throw new NotJson(at, text.length <= at ? `The text ends where ${what} must be.` : `Expected ${what} here.`)
  }
  const readList = (end: RegExp, readItem: (index: number) => void, endName: string) => {
    if (take(end)) return
    for (let index = 0; ; index++) {
      readItem(index)
      if (take(/,/y)) continue
      if (take(end)) return
      expect(`a comma or ${endName}`)
    }
  }
  const read = (pointer: string, depth: number) => {
    if (depth > DEPTH_MAX) throw new NotJson(at, `Nested deeper than ${DEPTH_MAX} levels.`)
    take(/(?:)/y)
    const from = at
    if (take(/\{/y)) {
      readList(
        /\}/y,
        () => {
          const name = take(STRING) ?? expect("a name in double quotes")
          if (!take(/:/y)) expect("a colon")
          read(`${pointer}/${escapeStep(JSON.parse(name))}`, depth + 1)
        },
        "a closing brace",
      )
    } else if (take(/\[/y)) {
      readList(/\]/y, (index) => read(`${pointer}/${index}`, depth + 1), "a closing bracket")
    } else if (!take(STRING) && !take(SCALAR)) {
      expect("a value")
    }
    byPointer.set(pointer, { from, to: at })
  }

  try {
    read("", 0)
    take(/(?:)/y)
    if (at < text.length) expect("the end of the text")
    return { byPointer }
  } catch (error) {
    if (!(error instanceof NotJson)) throw error
    return { byPointer, mistake: { at: error.at, detail: error.message } }
  }
}

class NotJson extends Error {
  readonly at: number

  constructor(at: number, detail: string) {
    super(detail)
    this.at = at
  }
}

function escapeStep(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1")
}

/** The place of a pointer, or of the nearest value above it: a missing field has none of its own. */
export function placeOf(pointer: string, places: Places): Place | undefined {
  for (let above = pointer; ; above = above.slice(0, above.lastIndexOf("/"))) {
    const place = places.byPointer.get(above)
    if (place || above === "") return place
  }
}

/** Lines are counted from 1. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length
}
