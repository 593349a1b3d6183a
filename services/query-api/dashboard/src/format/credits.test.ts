import { describe, expect, test } from "vitest"
import { compare, fraction, fractionOf, fromMicro, subtract, sum, toMicro } from "./credits"

describe("credits", () => {
  test.each(["0.000000", "12.500000", "-0.000001", "123456789012345678.999999"])("%s is unchanged", (text) => {
    expect(fromMicro(toMicro(text))).toBe(text)
  })

  test.each(["", "1.0000001", "1e3", "1,5", " 1", "--1", "NaN"])("%j is not a decimal", (text) => {
    expect(() => toMicro(text)).toThrow(RangeError)
  })

  test("sums are exact where floats are not", () => {
    expect(sum(["0.1", "0.2"])).toBe("0.300000")
    expect(sum(["9007199254740993.000001", "0.000001"])).toBe("9007199254740993.000002")
    expect(subtract("0.000001", "1")).toBe("-0.999999")
  })

  test("amounts are ordered as numbers, not as text", () => {
    expect(["10", "9", "-1", "9.000001"].sort(compare)).toEqual(["-1", "9", "9.000001", "10"])
  })

  test("a fraction is rounded down, and a fraction of 0 is 0", () => {
    expect(fraction("2", "3")).toBe("0.666666")
    expect(fraction("1", "0")).toBe("0.000000")
    expect(fractionOf("33900", "0.551652")).toBe("18701.002800")
  })
})
