import { toMicro } from "../format/credits"
import { useFormat } from "../format/useFormat"

/** Writes a difference with its sign: +1,500 or −8.25. */
export function useSigned(): (credits: string) => string {
  const format = useFormat()
  return (credits) => {
    const micro = toMicro(credits)
    return `${micro > 0n ? "+" : micro < 0n ? "−" : ""}${format.credits(credits.replace("-", ""))}`
  }
}
