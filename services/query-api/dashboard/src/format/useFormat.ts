import { createContext, useContext } from "react"
import { type Format, makeFormat } from "./format"

/** Made once for the whole page: each of its twenty formatters costs the browser more than a row of the table does. */
export const FormatContext = createContext(makeFormat("UTC"))

/** How numbers, dates and this organization's times are written. */
export function useFormat(): Format {
  return useContext(FormatContext)
}
