import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { colorsOf } from "./colors"

const KEYS = ["agent/a", "agent/b", "agent/c", "agent/d", "agent/e", "agent/f", "agent/g"]

test("each series has a distinct colour and keeps it when ranks or other series change", () => {
  const before = new Map<string, number>()
  const first = colorsOf(KEYS.slice(0, 5), before)
  expect(new Set(first.values()).size).toBe(5)
  const second = colorsOf(["agent/new", ...KEYS.slice(0, 5)].reverse(), before)
  for (const key of KEYS.slice(0, 5)) expect(second.get(key)).toBe(first.get(key))
  expect(new Set(second.values()).size).toBe(6)
  expect(new Set(colorsOf(KEYS, before).values()).size).toBe(7)
})

test("the colour is the same after a reload, even with other ranks", () => {
  const [one, other] = [colorsOf(KEYS, new Map()), colorsOf([...KEYS].reverse(), new Map())]
  for (const key of KEYS) expect(one.get(key)).toBe(other.get(key))
})

test("no series has a product's colour", () => {
  const css = readFileSync("src/shell/page.css", "utf8")
  const colors = (names: RegExp) => [...css.matchAll(names)].flatMap(([, light, dark]) => [light, dark])
  const products = colors(/--(?:assistant|agents|api): light-dark\((#\w+), (#\w+)\)/g)
  const rows = colors(/--series-\w+: light-dark\((#\w+), (#\w+)\)/g)
  expect([products.length, rows.length]).toEqual([6, 16])
  expect(rows.filter((color) => products.includes(color))).toEqual([])
  expect(new Set(rows).size).toBe(16)
})
