import { describe, expect, it } from "vitest"
import {
  addressMistake,
  type Draft,
  differences,
  draftOf,
  keepMine,
  mistakesIn,
  mistakesOf,
  type Settings,
  thresholdMistake,
} from "./draft"

const SETTINGS: Settings = {
  version: 3,
  updated_at: "2026-11-24T10:00:00Z",
  updated_by: "ada@demo.example",
  usage: {
    thresholds: [75, 90, 100],
    projected_thresholds: [],
    additional_recipients: { enabled: false, addresses: [] },
  },
  monthly_budget: {
    enabled: true,
    type: "recurring",
    credits: "5000.000000",
    month: null,
    resumes: null,
    thresholds: [75, 90, 100],
    projected_thresholds: [],
    additional_recipients: { enabled: false, addresses: [] },
    used_this_month: "1234.000000",
  },
  projections: { usage: null, monthly_budget: null },
  recommended_monthly_budget: null,
  role_recipients: ["ada@demo.example"],
}
const BASE = draftOf(SETTINGS)
const changed = (parts: Partial<Draft>): Draft => ({ ...BASE, ...parts })

describe("differences", () => {
  it("finds none in equivalent values", () => {
    expect(differences(BASE, changed({ usageThresholds: [100, 75, 90], budgetCredits: "5000.0" }))).toEqual([])
  })
  it("ignores the amount and type of a budget that is off on both sides", () => {
    const off = changed({ budgetOn: false })
    expect(differences(off, { ...off, budgetCredits: "1", budgetType: "one_time" })).toEqual([])
  })
  it("names fields in the form's order", () => {
    expect(differences(BASE, changed({ budgetCredits: "5000.000001", usageThresholds: [50] }))).toEqual([
      "usageThresholds",
      "budgetCredits",
    ])
  })
})

describe("keepMine", () => {
  it("keeps this user's changes and takes the other values of the saved version", () => {
    const mine = changed({ usageThresholds: [50] })
    const theirs = changed({ usageThresholds: [80], budgetCredits: "7000", budgetAddresses: ["a@b.example"] })
    expect(keepMine(BASE, mine, theirs)).toEqual({ ...theirs, usageThresholds: [50] })
  })
})

describe("mistakesOf", () => {
  it("finds none in saved settings, and none in a budget that is off", () => {
    expect(mistakesOf(BASE)).toEqual({})
    expect(mistakesOf(changed({ budgetOn: false, budgetCredits: "", budgetThresholds: [] }))).toEqual({})
  })
  it.each(["", "0", "0.000000", "-5", "1e3", "12.1234567"])("refuses %j as a budget", (budgetCredits) => {
    expect(Object.keys(mistakesOf(changed({ budgetCredits })))).toEqual(["budgetCredits"])
  })
  it("takes a budget with a threshold of either kind", () => {
    expect(mistakesOf(changed({ budgetThresholds: [], budgetProjected: [100] }))).toEqual({})
    expect(Object.keys(mistakesOf(changed({ budgetThresholds: [] })))).toEqual(["budgetThresholds"])
  })
  it("requires an address if recipients are turned on", () => {
    expect(Object.keys(mistakesOf(changed({ usageRecipientsOn: true })))).toEqual(["usageAddresses"])
  })
})

describe("input of thresholds and addresses", () => {
  it.each(["0", "201", "7.5", "-5", "", "1e1", "75"])("refuses the threshold %j", (text) => {
    expect(thresholdMistake(text, [75])).toBeTruthy()
  })
  it.each(["1", "80", "200"])("takes the threshold %j", (text) => expect(thresholdMistake(text, [75])).toBeUndefined())
  it.each(["a", "a@b", "a b@c.example", "a@b@c.example", "a@b.example\nBcc: x@y.example", "A@B.example"])(
    "refuses the address %j",
    (address) => expect(addressMistake(address, ["a@b.example"])).toBeTruthy(),
  )
  it("takes an address", () => expect(addressMistake("ünal@bücher.example", [])).toBeUndefined())
})

it("shows the API's first error of each field", () => {
  const errors = [
    { pointer: "/usage/thresholds/1", detail: "the same as /usage/thresholds/0" },
    { pointer: "/usage/thresholds/2", detail: "at most 200" },
    { pointer: "/monthly_budget/additional_recipients/addresses/0", detail: "is no address" },
    { pointer: "", detail: "something else" },
  ]
  expect(mistakesIn({ type: "t", title: "t", status: 422, detail: "d", errors })).toEqual({
    usageThresholds: "The same as /usage/thresholds/0.",
    budgetAddresses: "Is no address.",
  })
})
