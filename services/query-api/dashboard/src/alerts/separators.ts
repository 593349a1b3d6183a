/** How a locale writes 12345.6, for a field in which a person types. */
export function separatorsOf(locale: string): { thousand: string; decimal: string } {
  const parts = new Intl.NumberFormat(locale).formatToParts(1234567.8)
  const part = (type: string, otherwise: string) => parts.find((one) => one.type === type)?.value ?? otherwise
  return { thousand: part("group", ","), decimal: part("decimal", ".") }
}
