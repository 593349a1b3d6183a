import { expect, test } from "vitest"
import type { Schemas } from "../api/client"
import { offsetText, stepsOf, sumByKind } from "./bars"

type Use = Schemas["RunUse"]

function use(second: number, credits: string | null, given: Partial<Use> = {}): Use {
  const at = `2026-11-24T10:00:0${second}Z`
  return { at, credits, corrections: "0.000000", feature_kind: "model", ...given } as Use
}

function child(second: number): Schemas["RunLink"] {
  return { id: `c${second}`, key: "0", credits: "9.000000", events: 1, first_at: `2026-11-24T10:00:0${second}Z` }
}

test("each bar begins where the one before it ends, and the last one ends at the total", () => {
  const uses = [use(0, "1.000000"), use(1, "5.000000", { corrections: "-3.000000" }), use(2, null), use(3, "1.000000")]
  const steps = stepsOf(uses, [], "4.000000").map((step) => (step.is === "use" ? [step.start, step.width] : []))
  expect(steps).toEqual([
    [0, 0.25],
    [0.25, 0.5],
    [0.75, 0],
    [0.75, 0.25],
  ])
})

test("child runs are between the uses, at the time they begin, and add nothing", () => {
  const steps = stepsOf([use(0, "1.000000"), use(4, "1.000000")], [child(2), child(6)], "2.000000")
  expect(steps.map((step) => (step.is === "use" ? step.start : step.child.id))).toEqual([0, "c2", 0.5, "c6"])
})

test("a run without credits has no bars", () => {
  const [step] = stepsOf([use(0, "0.000000")], [], "0.000000")
  expect(step).toMatchObject({ start: 0, width: 0 })
})

test("credits by kind include corrections and leave out held usage", () => {
  const uses = [
    use(0, "2.000000", { corrections: "-1.500000" }),
    use(1, "1.000000", { feature_kind: "tool" }),
    use(2, null, { feature_kind: "tool" }),
  ]
  expect(sumByKind(uses)).toEqual([
    ["tool", "1.000000"],
    ["model", "0.500000"],
  ])
})

test("offsets are written as a person reads a clock", () => {
  expect([0, 412, 65_000, 7_209_000].map(offsetText)).toEqual(["+0.0 s", "+0.4 s", "+1:05", "+2:00:09"])
})
