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
test("a change is named by feature, agent and surface, or by its product", () => {
  expect(nameOfChange(change)).toBe("Search · Report · web")
  expect(nameOfChange({ ...change, agent_name: null })).toBe("Search · agt_1 · web")
  expect(nameOfChange({ ...change, feature_name: "", agent_name: null, agent_id: null, surface: null })).toBe("Agents")
})

test("causes that changed nothing are left out, and others are shown even if none of their changes is listed", () => {
  const causes = (["late", "corrected", "recategorized", "moved", "re_rated"] as const).map((cause) => ({
    cause,
    credits: "0.000000",
    events: 0,
    changes: cause === "recategorized" ? 2 : 0,
  }))
  const shown = causesOf({ causes, changes: [], re_rated: [] } as unknown as Schemas["Changes"])
  expect(shown.map(({ cause }) => cause)).toEqual(["recategorized"])
})
