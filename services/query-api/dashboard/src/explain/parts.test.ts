import { expect, it } from "vitest"
import { type Contributor, nameOf, nameOfPart, type Part, type PartKind, stepsOf, unknownIn } from "./parts"

function part(kind: PartKind, amount: string, known = true): Part {
  return { kind, amount, known, contributors: [], others: "0.000000", other_rows: 0 }
}

it("begins each part where the one before it ends, and ends at the total", () => {
  const parts = [part("volume", "30.000000"), part("mix", "0.000000"), part("intensity", "-10.000000")]
  const steps = stepsOf({ previous: "100.000000", total: "120.000000", parts })
  expect(steps.map((step) => (step.is === "total" ? step.which : step.part.kind))).toEqual([
    "before",
    "volume",
    "intensity",
    "now",
  ])
  const [before, volume, intensity, now] = steps
  if (before?.is !== "total" || volume?.is !== "part" || intensity?.is !== "part" || now?.is !== "total") throw Error()
  expect(volume.from).toBe(before.at)
  expect(intensity.from).toBe(volume.to)
  expect(now.at).toBe(intensity.to)
  expect(before.at).toBeCloseTo(0.04)
  expect(volume.to).toBeCloseTo(0.96)
})

it("places an unchanged total", () => {
  expect(stepsOf({ previous: "5.000000", total: "5.000000", parts: [] })).toEqual([
    { is: "total", which: "before", credits: "5.000000", at: 0.04 },
    { is: "total", which: "now", credits: "5.000000", at: 0.04 },
  ])
})

it("names a part by its direction", () => {
  expect(nameOfPart(part("volume", "1.000000"))).toBe("More use")
  expect(nameOfPart(part("rate", "-0.000001"))).toBe("Lower prices")
})

it("names what a contributor is about", () => {
  const empty: Contributor = {
    product: null,
    feature_kind: null,
    feature: null,
    feature_name: null,
    agent_kind: null,
    agent: null,
    agent_name: null,
    person_kind: null,
    person: null,
    person_name: null,
    amount: "1.000000",
    credits_before: "0.000000",
    credits: "1.000000",
    uses_before: 0,
    uses: 1,
  }
  expect(nameOf({ ...empty, product: "agents", feature_name: "Search", agent_name: "Report" })).toBe("Search · Report")
  expect(nameOf({ ...empty, product: "api" })).toBe("API")
  expect(nameOf({ ...empty, person_name: "Ada" })).toBe("Ada")
})

it("names the parts that cannot be computed under the filters", () => {
  const parts = [
    part("rate", "0.000000", false),
    part("late", "0.000000", false),
    part("corrections", "0.000000"),
    part("new_people", "0.000000", false),
  ]
  expect(unknownIn(parts)).toEqual(["prices", "late data"])
})
