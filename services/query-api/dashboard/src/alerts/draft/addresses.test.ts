import { expect, test } from "vitest"
import { addressesIn } from "./addresses"

test.each<[string, string[]]>([
  ["", []],
  [" finance@a.example ", ["finance@a.example"]],
  ["Grace Hopper <grace@a.example>", ["grace@a.example"]],
  ['"Hopper, Grace" <grace@a.example>', ["grace@a.example"]],
  ["Hopper, Grace <grace@a.example>; Byron, Ada <ada@a.example>", ["grace@a.example", "ada@a.example"]],
  ["<grace@a.example>, ada@a.example;ben@a.example", ["grace@a.example", "ada@a.example", "ben@a.example"]],
  ["grace@a.example\r\nAda <ada@a.example>\n", ["grace@a.example", "ada@a.example"]],
  ["grace@a.example ada@a.example", ["grace@a.example", "ada@a.example"]],
  ["mailto:grace@a.example", ["grace@a.example"]],
  ["nobody", ["nobody"]],
  ["Grace Hopper", ["Grace Hopper"]],
  ["Grace <grace>", ["grace"]],
])("%j", (text, addresses) => expect(addressesIn(text)).toEqual(addresses))
