import { expect, test } from "vitest"
import type { Schemas } from "../api/client"
import { causesOf, nameOfChange } from "./words"

const change: Schemas["Change"] = {
  cause: "recategorized",
  day: "2026-11-10",
  product: "agents",
  kind: "tool",
  category: "Find",
  feature: "search",
  feature_name: "Search",
  agent_id: "agt_1",
  agent_name: "Report",
  surface: "web",
  credits: "5.000000",
  events: 1,
}
const causes = (["late", "corrected", "recategorized", "moved", "re_rated"] as const).map((cause) => ({
  cause,
  credits: "0.000000",
  events: 0,
}))

function changes(parts: Partial<Schemas["Changes"]>): Schemas["Changes"] {
  return { causes, changes: [], re_rated: [], ...parts } as Schemas["Changes"]
}

test("a change is named by feature, agent and surface, or by its product", () => {
  expect(nameOfChange(change)).toBe("Search · Report · web")
  expect(nameOfChange({ ...change, agent_name: null })).toBe("Search · agt_1 · web")
  expect(nameOfChange({ ...change, feature_name: "", agent_name: null, agent_id: null, surface: null })).toBe("Agents")
})

test("causes that changed nothing are left out", () => {
  const shown = (parts: Partial<Schemas["Changes"]>) => causesOf(changes(parts)).map(({ cause }) => cause)
  expect(shown({})).toEqual([])
  expect(shown({ changes: [change] })).toEqual(["recategorized"])
  expect(shown({ causes: [{ cause: "late", credits: "0.000000", events: 1 }] })).toEqual(["late"])
  expect(shown({ causes: [{ cause: "corrected", credits: "-0.000001", events: 0 }] })).toEqual(["corrected"])
  const price = { currency: "USD", credit: "0.010000" }
  expect(shown({ re_rated: [{ day: "2026-11-10", before: price, now: price }] })).toEqual(["re_rated"])
})
