import { expect, test } from "vitest"
import type { Schemas } from "../api/client"
import { causesOf, nameOfChange, sentenceOf } from "./words"

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

test("a file whose bytes always differ is compared by its lines and credits", () => {
  const same = { same_bytes: null, lines_before: 3, lines_now: 3, credits_before: "1.000000", credits_now: "1.000000" }
  const say = (changed: object) => sentenceOf({ ...same, ...changed } as unknown as Schemas["FileChanges"])
  expect(say({ same_bytes: true })).toBe("Nothing has changed since.")
  expect(say({ same_bytes: false })).toBe("The same file has other content today.")
  expect(say({})).toBe("Lines and credits add up to the same today. Bytes of such a file always differ.")
  expect(say({ credits_before: null, credits_now: null })).toMatch(/^The number of lines is the same today/)
  expect(say({ lines_now: 4 })).toBe("The same file has other content today.")
  expect(say({ credits_now: "2.000000" })).toBe("The same file has other content today.")
})
