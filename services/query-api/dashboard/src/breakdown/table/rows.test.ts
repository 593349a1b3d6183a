import { expect, test } from "vitest"
import { isUnused, layOut, nextOrder, type Order, type Row, readOrder, searchRows, sortRows, writeOrder } from "./rows"

function row(name: string, credits: string, given: Partial<Row> = {}): Row {
  return {
    kind: "agent",
    id: name,
    name,
    credits,
    events: 1,
    share: "0",
    previous: "1",
    change: "0",
    rows: [],
    ...given,
  }
}

const names = (rows: Row[]) => rows.map(({ name }) => name)
const HIGHEST: Order = { by: "credits", descending: true }

test("rows that are not current agents stay below in every order", () => {
  const rows = [
    row("Deleted agents", "9", { kind: "deleted" }),
    row("b", "2"),
    row("Chat", "5", { kind: "system" }),
    row("Unsaved workflows", "8", { kind: "unsaved" }),
    row("a", "10"),
  ]
  const below = ["Chat", "Unsaved workflows", "Deleted agents"]
  expect(names(sortRows(rows, HIGHEST, "en"))).toEqual(["a", "b", ...below])
  expect(names(sortRows(rows, { by: "credits", descending: false }, "en"))).toEqual(["b", "a", ...below])
})

test("credits are sorted as numbers, names by the locale", () => {
  const rows = [row("agent 10", "9.5"), row("Agent 9", "10"), row("Äpfel", "100000000000000000.000001")]
  expect(names(sortRows(rows, HIGHEST, "en"))).toEqual(["Äpfel", "Agent 9", "agent 10"])
  expect(names(sortRows(rows, { by: "name", descending: false }, "en"))).toEqual(["Agent 9", "agent 10", "Äpfel"])
})

test("new rows changed most, rows without a comparison least", () => {
  const rows = [
    row("gone", "0", { change: "-1.000000" }),
    row("new", "3", { previous: "0.000000", change: null }),
    row("doubled", "2", { change: "1.000000" }),
  ]
  expect(names(sortRows(rows, { by: "change", descending: true }, "en"))).toEqual(["new", "doubled", "gone"])
})

test("a search keeps a match's parents and its parts", () => {
  const rows = [
    row("Media", "5", { kind: "category", rows: [row("Image Generation", "3"), row("Video", "2")] }),
    row("Writing", "4", { kind: "category", rows: [row("Drafts", "4")] }),
  ]
  const found = searchRows(rows, " IMAGE ", "en")
  expect(names(found)).toEqual(["Media"])
  expect(names(found[0]?.rows ?? [])).toEqual(["Image Generation"])
  expect(names(searchRows(rows, "media", "en")[0]?.rows ?? [])).toEqual(["Image Generation", "Video"])
  expect(searchRows(rows, "", "en")).toEqual(rows)
})

test("open rows show their parts, each with a unique key", () => {
  const inside = row("Report", "1", { id: "a/1" })
  const rows = [row("One", "1", { rows: [inside] }), row("Two", "1", { rows: [inside] })]
  const lines = layOut(rows, (key) => key === "agent:Two")
  expect(lines.map(({ row: { name }, depth, isOpen }) => [name, depth, isOpen])).toEqual([
    ["One", 0, false],
    ["Two", 0, true],
    ["Report", 1, false],
  ])
  expect(lines[2]?.path).toBe("agent:Two/agent:a%2F1")
  const paths = layOut(rows, () => true).map(({ path }) => path)
  expect(new Set(paths).size).toBe(4)
})

test("rows with the same name beside each other are distinguished by their ids", () => {
  const rows = [row("Report", "3", { id: "agt_1" }), row("Report", "2", { id: "agt_2" }), row("Other", "1")]
  expect(layOut(rows, () => false).map(({ isTwin }) => isTwin)).toEqual([true, true, false])
})

test("a row is unused when it has neither credits nor uses", () => {
  expect([row("a", "0", { events: 0 }), row("b", "0"), row("c", "-1", { events: 0 })].map(isUnused)).toEqual([
    true,
    false,
    false,
  ])
})

test("the order is in the URL unless it is the default", () => {
  expect(writeOrder(readOrder(undefined))).toBeUndefined()
  expect(readOrder("-uses")).toEqual({ by: "uses", descending: true })
  expect(writeOrder(nextOrder(HIGHEST, "credits"))).toBe("credits")
  expect(writeOrder(nextOrder(HIGHEST, "name"))).toBe("name")
  expect(writeOrder(nextOrder(HIGHEST, "uses"))).toBe("-uses")
})
