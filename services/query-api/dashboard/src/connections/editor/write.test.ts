import { expect, test } from "vitest"
import { writeJson } from "./write"

test("what fits is on one line, and the rest is indented", () => {
  const rule = {
    name: "model calls",
    when: [{ at: "/type", is: "litellm_tokens" }],
    usage: { feature: { at: "/data/model" } },
  }
  expect(writeJson({ type: "flexcredits.mapping.v1", rules: [rule] })).toBe(`{
  "type": "flexcredits.mapping.v1",
  "rules": [
    {
      "name": "model calls",
      "when": [{"at": "/type", "is": "litellm_tokens"}],
      "usage": {"feature": {"at": "/data/model"}}
    }
  ]
}`)
})

test("the text is the same JSON", () => {
  const value = { a: [1, [], {}, null, true, "é\n", { b: "x".repeat(200) }], 'q"': -0.5 }
  expect(JSON.parse(writeJson(value))).toEqual(value)
})
