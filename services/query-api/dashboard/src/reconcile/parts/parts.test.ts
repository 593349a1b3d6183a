import { expect, test } from "vitest"
import { type Chargeback, linesOf, namesNone, rowsOf } from "./parts"

type Row = Chargeback["rows"][number]

function row(kind: Row["kind"], id: string, rows: Row[] = []): Row {
  return { kind, id, name: id, credits: "1", share: "1", within_available: "1", overage: "0", amount: null, rows }
}

function page(rows: Row[], given: Partial<Chargeback> = {}): Chargeback {
  return { rows, pinned: [], moved: false, ...given } as Chargeback
}

test("the rows in a group follow it", () => {
  const lines = linesOf([row("group", "eng", [row("group", "data"), row("own", "eng")]), row("no_group", "no_group")])
  expect(lines.map(({ path, depth }) => [path, depth])).toEqual([
    ["group:eng", 0],
    ["group:eng/group:data", 1],
    ["group:eng/own:eng", 1],
    ["no_group:no_group", 0],
  ])
})

test("a moved page discards those before it", () => {
  const pages = [page([row("person", "a")]), page([row("person", "b")], { moved: true }), page([row("person", "c")])]
  expect(rowsOf(pages).map(({ id }) => id)).toEqual(["b", "c"])
})

test("usage without people and groups needs no table", () => {
  const unattributed = row("unattributed", "unattributed")
  expect(namesNone(page([], { pinned: [unattributed] }))).toBe(true)
  expect(namesNone(page([], { pinned: [row("no_group", "no_group"), unattributed] }))).toBe(false)
  expect(namesNone(page([row("group", "eng")]))).toBe(false)
})
