import { createContext, useContext } from "react"
import { type Format, makeFormat } from "./format"

/** Created once for the whole page: each of its twenty formatters costs the browser more than a row of the table. */
export const FormatContext = createContext(makeFormat("UTC"))

/** The format of numbers, dates and the organization's times. */
export function useFormat(): Format {
  return useContext(FormatContext)
}
