import { expect, test } from "vitest"
import { findPlaces, lineAt, placeOf } from "./places"

const TEXT = `{
  "rules": [
    {"name": "a/b", "when": []},
    {"x~y/z": -1.50e3, "on": true}
  ]
}`

function textAt(pointer: string): string | undefined {
  const place = placeOf(pointer, findPlaces(TEXT))
  return place && TEXT.slice(place.from, place.to)
}

test("each value has its place by JSON Pointer", () => {
  expect(findPlaces(TEXT).mistake).toBeUndefined()
  expect(textAt("/rules/0/name")).toBe('"a/b"')
  expect(textAt("/rules/0/when")).toBe("[]")
  expect(textAt("/rules/1/x~0y~1z")).toBe("-1.50e3")
  expect(textAt("")).toBe(TEXT)
})

test("a missing field has the place of the object that lacks it", () => {
  expect(textAt("/rules/0/usage/feature")).toBe('{"name": "a/b", "when": []}')
  expect(textAt("/nothing")).toBe(TEXT)
})

test.each([
  ["", 0, "The text ends where a value must be."],
  ['{"a": 1', 7, "The text ends where a comma or a closing brace must be."],
  ['{"a": 1,}', 8, "Expected a name in double quotes here."],
  ["{'a': 1}", 1, "Expected a name in double quotes here."],
  ['{"a" 1}', 5, "Expected a colon here."],
  ["[1 2]", 3, "Expected a comma or a closing bracket here."],
  ["[01]", 1, "Expected a value here."],
  ["[1.]", 1, "Expected a value here."],
  ["[tru]", 1, "Expected a value here."],
  ['"a\nb"', 0, "Expected a value here."],
  ["{} {}", 3, "Expected the end of the text here."],
  ["[".repeat(65_000), 65, "Nested deeper than 64 levels."],
])("%j is not JSON from its place %i on", (text, at, detail) => {
  expect(findPlaces(text).mistake).toEqual({ at, detail })
  expect(() => JSON.parse(text)).toThrow()
})

test("what JSON.parse accepts has places", () => {
  for (const text of ["0", "-0", "1E+9", '"\\u00e9\\n"', "[]", " {} ", "[[],{}]", "null", "false"]) {
    expect(findPlaces(text).mistake, text).toBeUndefined()
    expect(() => JSON.parse(text)).not.toThrow()
  }
})

test("lines are counted from one", () => {
  expect([0, 1, 2, TEXT.length].map((offset) => lineAt(TEXT, offset))).toEqual([1, 1, 2, 6])
})
