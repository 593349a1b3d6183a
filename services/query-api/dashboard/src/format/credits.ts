/** Arithmetic on the API's decimal strings, exact, in integer micro-credits. Never floats. */

export const MICRO = 1_000_000n
const DECIMAL = /^(-?)(\d+)(?:\.(\d{1,6}))?$/

/** Micro-credits of a decimal with at most six places. Throws RangeError for anything else. */
export function toMicro(credits: string): bigint {
  const match = DECIMAL.exec(credits)
  if (!match) throw new RangeError(`not a decimal with at most six places: ${credits}`)
  const [, sign, whole = "", places = ""] = match
  const micro = BigInt(whole) * MICRO + BigInt(places.padEnd(6, "0"))
  return sign ? -micro : micro
}

/** A decimal with six places, in the API's format. */
export function fromMicro(micro: bigint): string {
  const size = micro < 0n ? -micro : micro
  return `${micro < 0n ? "-" : ""}${size / MICRO}.${String(size % MICRO).padStart(6, "0")}`
}

export function sum(amounts: Iterable<string>): string {
  let total = 0n
  for (const amount of amounts) total += toMicro(amount)
  return fromMicro(total)
}

export function subtract(from: string, amount: string): string {
  return fromMicro(toMicro(from) - toMicro(amount))
}

export function compare(one: string, other: string): number {
  const difference = toMicro(one) - toMicro(other)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

export function isZero(credits: string): boolean {
  return toMicro(credits) === 0n
}

/** `part` of `whole` in millionths, rounded down; 0 of nothing. For lengths on the screen and for shares. */
export function millionths(part: string, whole: string): number {
  const of = toMicro(whole)
  return of === 0n ? 0 : Number((toMicro(part) * MICRO) / of)
}

/** A float, for positions and lengths only, never for text. */
export function toLength(credits: string): number {
  return Number(credits)
}

/** `fraction` of an amount, rounded down to the micro-credit. Example: an even pace has used "0.551652" of 33900 by now. */
export function fractionOf(amount: string, fraction: string): string {
  return fromMicro((toMicro(amount) * toMicro(fraction)) / MICRO)
}

/** A part of a whole, in the API's format of fractions. */
export function fraction(part: string, whole: string): string {
  return fromMicro(BigInt(millionths(part, whole)))
}
