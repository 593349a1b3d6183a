import { expect, test } from "vitest"
import type { Schemas } from "../api/client"
import { nameOf, readOf, writeOf } from "./driven"

type Row = Schemas["BreakdownRow"]

function row(kind: Row["kind"], id: string, name: string, rows: Row[] = []): Row {
  return { kind, id, name, credits: "1", events: 1, share: "1", previous: null, change: null, rows }
}

test("agents and features have a panel, rows that combine them have none", () => {
  expect(writeOf({ kind: "system", id: "sys_chat" })).toBe("system:sys_chat")
  expect(writeOf({ kind: "namespace", id: "Search" })).toBe("namespace:Search")
  for (const kind of ["category", "deleted", "unsaved", "surface"] as const) {
    expect(writeOf({ kind, id: "x" })).toBeUndefined()
  }
})

test("the address says what is driven", () => {
  expect(readOf({ product: "agents", of: "agent:a:1" })).toEqual({ product: "agents", view: "agents", agent: "a:1" })
  expect(readOf({ of: "model:gpt-6" })).toEqual({ product: "assistant", view: "models", feature: "gpt-6" })
  for (const of of [undefined, "", "agent", "agent:", "category:Media"]) {
    expect(readOf(of === undefined ? {} : { of })).toBeUndefined()
  }
})

test("the name comes from the table, else the id is shown", () => {
  const rows = [row("category", "Media", "Media", [row("feature", "video", "Video")])]
  expect(nameOf("feature:video", rows)).toBe("Video")
  expect(nameOf("feature:audio", rows)).toBe("audio")
})
