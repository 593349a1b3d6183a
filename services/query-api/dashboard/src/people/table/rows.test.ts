import { expect, test } from "vitest"
import type { Schemas } from "../../api/client"
import { bandName, explain, filterBy, keyName, layOut, namesNone, type PeopleRow, rowsOf } from "./rows"

function row(kind: PeopleRow["kind"], id: string, rows: PeopleRow[] = []): PeopleRow {
  return { kind, id, name: id, credits: "1", events: 1, share: "1", previous: null, change: null, people: 1, rows }
}

function page(rows: PeopleRow[], given: Partial<Schemas["People"]> = {}): Schemas["People"] {
  return { rows, pinned: [], moved: false, ...given } as Schemas["People"]
}

test("an open group shows the groups in it and its own usage", () => {
  const tree = [row("group", "eng", [row("group", "data"), row("own", "eng")]), row("group", "sales")]
  const closed = layOut(tree, () => false)
  expect(closed.map(({ path }) => path)).toEqual(["group:eng", "group:sales"])
  const open = layOut(tree, (path) => path === "group:eng")
  expect(open.map(({ path, depth }) => [path, depth])).toEqual([
    ["group:eng", 0],
    ["group:eng/group:data", 1],
    ["group:eng/own:eng", 1],
    ["group:sales", 0],
  ])
})

test("pages follow each other, and a moved page discards those before it", () => {
  const [one, two] = [page([row("person", "a")]), page([row("person", "b")])]
  expect(rowsOf([one, two]).map(({ id }) => id)).toEqual(["a", "b"])
  expect(rowsOf([one, two, page([row("person", "c")], { moved: true })]).map(({ id }) => id)).toEqual(["c"])
})

test("a person leads to the product tabs, a group and a label to their people", () => {
  expect(filterBy(row("person", "u1"), null, {})).toMatchObject({ actor: "u1", tab: undefined })
  expect(filterBy(row("group", "g1"), null, {})).toMatchObject({ group: "g1", by: "person" })
  expect(filterBy(row("group", "g1"), null, { group: "g1" })).toBeUndefined()
  expect(filterBy(row("value", "atlas"), "project", {})).toMatchObject({ label: "project:atlas" })
  for (const kind of ["removed", "unattributed", "no_group", "no_value", "other", "small"] as const) {
    expect(filterBy(row(kind, kind), "project", {})).toBeUndefined()
    expect(explain(kind, "group")).toBeTruthy()
  }
})

test("keys and bands are readable", () => {
  expect(keyName("cost_center")).toBe("Cost center")
  expect(keyName("_")).toBe("_")
  const band = { from_percent: 0, to_percent: 1, people: 1, credits: "1", share: "1", least: "1" }
  expect([bandName(band), bandName({ ...band, from_percent: 1, to_percent: 10 })]).toEqual(["Top 1%", "1–10%"])
})

test("usage that names no people has only the row of such usage", () => {
  expect(namesNone(page([], { pinned: [row("unattributed", "unattributed")] }))).toBe(true)
  expect(namesNone(page([], { pinned: [row("removed", "removed")] }))).toBe(false)
  expect(namesNone(page([row("person", "a")]))).toBe(false)
})
