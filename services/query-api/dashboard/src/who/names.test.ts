import { expect, test } from "vitest"
import { findName, labelName } from "./names"

test("the name of a group is found at any level of the tree", () => {
  const team = { id: "g2", name: "Storage", rows: [] }
  const tree = [
    { id: "g0", name: "Sales", rows: [] },
    { id: "g1", name: "Engineering", rows: [team] },
  ]
  expect(findName(tree, "g2")).toBe("Storage")
  expect(findName(tree, "g1")).toBe("Engineering")
  expect(findName(tree, "g9")).toBeUndefined()
})

test("a label's value may have colons", () => {
  expect(labelName("project:atlas")).toBe("project: atlas")
  expect(labelName("ref:a:b")).toBe("ref: a:b")
  expect(labelName("project:")).toBe("project: Other")
})
