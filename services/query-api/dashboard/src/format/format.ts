import { fromMicro, MICRO, toMicro } from "./credits"
import { hasEnd } from "./dates"

/**
 * Consistent numbers for one sentence: they add up and agree with the percentage. `used` never exceeds the true usage. Exactly
 * one of `left` and `over` is a text; `percent` is null if nothing is available.
 */
export interface LevelText {
  used: string
  available: string
  left: string | null
  over: string | null
  percent: string | null
}

/** The language of the page, used for its numbers and dates too. */
export const LANGUAGE = "en-US"

/**
 * Texts for users: numbers and dates in the page's language, times in the organization's zone, independent of the browser's.
 * Credits are passed to Intl as decimal strings, which it formats exactly. Mails and Slack follow the same rules
 * (schemas/flexcredits_schemas/credits.py); schemas/texts/credits.json has inputs and texts for the tests of both.
 */
export interface Format {
  timeZone: string
  /** 12,093; under a hundred 89.5; under ten 9.25; under a hundredth 0.004. */
  credits: (credits: string) => string
  /** 99.7 of 100: as many places as the percentage needs. */
  level: (used: string, available: string) => LevelText
  /** Always two places, so that a column is aligned; "<0.01" for a smaller amount above zero. */
  column: (credits: string) => string
  /** All places up to the last that is not zero: for tooltips and copying. */
  exact: (credits: string) => string
  /** 12.1K */
  compact: (credits: string) => string
  count: (count: number) => string
  /** The same in whole percent: 90% of "90.59". */
  wholePercent: (percent: string) => string
  /** The percentage of a level such as "87.16": rounded, but never up to a whole percent that is not reached. */
  percent: (percent: string) => string
  /** The percentage of a part such as "0.250000": rounded, but never up to 100%. */
  share: (fraction: string) => string
  /** A change as a signed percentage. */
  change: (fraction: string) => string
  money: (amount: string, currency: string) => string
  /** The price of one credit, with all places. */
  price: (amount: string, currency: string) => string
  /** A date such as "2026-11-24", which has no time zone. */
  day: (date: string) => string
  shortDay: (date: string) => string
  month: (month: string) => string
  shortMonth: (month: string) => string
  /** Without the year. */
  monthName: (month: string) => string
  days: (from: string, to: string) => string
  weekday: (date: string) => string
  /** 14:02, for the axis of a chart; the chart names its zone once. */
  hour: (instant: Date) => string
  /** 14:02 CET */
  time: (instant: Date) => string
  /** Nov 24, 2026, 14:02 CET */
  moment: (instant: Date) => string
  /** Nov 24, 2026, 14:02:10 CET */
  second: (instant: Date) => string
  /** Nov 24, 2026, 14:00 – 15:00 CET */
  times: (from: Date, to: Date) => string
  /** "3 seconds ago", in the largest unit that fits. */
  ago: (seconds: number) => string
}

export function makeFormat(givenTimeZone: string): Format {
  const timeZone = isKnown(givenTimeZone) ? givenTimeZone : "UTC"
  const whole = number({ maximumFractionDigits: 0, roundingMode: "halfEven" })
  const two = number({ minimumFractionDigits: 2, maximumFractionDigits: 2, roundingMode: "halfEven" })
  const tenth = number({ maximumFractionDigits: 1, roundingMode: "halfEven" })
  const exact = number({ maximumFractionDigits: 6 })
  const tenths = number({ style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 })
  const signed = number({
    style: "percent",
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
    signDisplay: "exceptZero",
  })
  const wholePercent = number({ style: "percent", maximumFractionDigits: 0 })
  const percent = (part: bigint, of: bigint, step: bigint, write = tenths) => {
    const found = tenthsOf(part, of, step)
    if (found > TENTHS_MAX) return `>${wholePercent("9.99")}`
    if (found < -TENTHS_MAX) return `<${wholePercent("-9.99")}`
    if (found === 0n && part > 0n) return `<${tenths("1e-3")}`
    if (found === 0n && part < 0n) return `>${tenths("-1e-3")}`
    return write(`${found}e-3`)
  }
  const level = (used: string, available: string): LevelText => {
    const [part, of] = [toMicro(used), toMicro(available)]
    const unit = unitOf(part, of)
    const [shown, limit] = [cut(part, unit), round(of, unit)]
    const over = shown - limit
    const left = over < -limit ? limit : -over
    return {
      used: exact(fromMicro(shown)),
      available: exact(fromMicro(limit)),
      left: over > 0n ? null : exact(fromMicro(left)),
      over: over > 0n ? exact(fromMicro(over)) : null,
      percent: of > 0n ? percent(part, of, 10n) : null,
    }
  }
  const day = date({ timeZone: "UTC", day: "numeric", month: "short", year: "numeric" })
  const shortDay = date({ timeZone: "UTC", day: "numeric", month: "short" })
  const month = date({ timeZone: "UTC", month: "long", year: "numeric" })
  const shortMonth = date({ timeZone: "UTC", month: "short", year: "numeric" })
  const monthName = date({ timeZone: "UTC", month: "short" })
  const weekday = date({ timeZone: "UTC", weekday: "short", day: "numeric", month: "short", year: "numeric" })
  const hour = date({ timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" })
  const local = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" } as const
  const minutes = date({ timeZone, ...local, hourCycle: "h23" })
  const seconds = date({ timeZone, ...local, second: "2-digit", hourCycle: "h23" })
  const counted = new Intl.NumberFormat(LANGUAGE)
  const zone = zoneOf(timeZone)
  return {
    timeZone,
    credits: (credits) => [exact, two, tenth, whole][scaleOf(credits)]?.(credits) ?? "",
    level,
    column: (credits) => {
      const micro = toMicro(credits)
      if (micro === 0n || micro > 5_000n || micro < -5_000n) return two(credits)
      return micro > 0n ? `<${two("0.01")}` : `>${two("-0.01")}`
    },
    exact,
    compact: number({ notation: "compact", maximumFractionDigits: 1 }),
    count: (count) => counted.format(count),
    wholePercent: (text) => (toMicro(text) >= 1_000_000_000n ? ">999%" : `${toMicro(text) / 1_000_000n}%`),
    percent: (text) => percent(toMicro(text), 100n * MICRO, 10n),
    share: (text) => percent(toMicro(text), MICRO, 1000n),
    change: (text) => percent(toMicro(text), MICRO, 1000n, signed),
    money: (amount, currency) => number({ style: "currency", currency })(amount),
    price: (amount, currency) => number({ style: "currency", currency, maximumFractionDigits: 6 })(amount),
    day: (text) => day.format(new Date(text)),
    shortDay: (text) => shortDay.format(new Date(text)),
    month: (text) => month.format(new Date(text)),
    shortMonth: (text) => shortMonth.format(new Date(text)),
    monthName: (text) => monthName.format(new Date(text)),
    days: (from, to) =>
      hasEnd(to) ? day.formatRange(new Date(from), new Date(to)) : `since ${day.format(new Date(from))}`,
    weekday: (text) => weekday.format(new Date(text)),
    hour: (instant) => hour.format(instant),
    time: (instant) => `${hour.format(instant)} ${zone(instant)}`,
    moment: (instant) => `${minutes.format(instant)} ${zone(instant)}`,
    second: (instant) => `${seconds.format(instant)} ${zone(instant)}`,
    times: (from, to) => `${minutes.formatRange(from, to)} ${zone(to)}`,
    ago: writeAgo,
  }
}

/** 75%: a threshold, which is a whole number. */
export function threshold(percent: number): string {
  return `${percent}%`
}

const LIST = new Intl.ListFormat(LANGUAGE, { type: "conjunction" })

/** "a, b, and c" */
export function listOf(words: string[]): string {
  return LIST.format(words)
}

function number(options: Intl.NumberFormatOptions): (decimal: string) => string {
  const format = new Intl.NumberFormat(LANGUAGE, options)
  return (decimal) => format.format(decimal as Intl.StringNumericLiteral)
}

function date(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat(LANGUAGE, options)
}

/** An organization's zone may be unknown to this browser. */
function isKnown(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat(LANGUAGE, { timeZone })
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/** American English has abbreviations for American zones only, so other English locales are tried before "GMT+1" is used. */
const ENGLISH = [LANGUAGE, "en-GB", "en-IN", "en-AU", "en-ZA"]

/** A zone's abbreviation at an instant: CET, CEST, GMT+5:45. */
function zoneOf(timeZone: string): (instant: Date) => string {
  const formats = ENGLISH.map((locale) => new Intl.DateTimeFormat(locale, { timeZone, timeZoneName: "short" }))
  return (instant) => {
    const names = formats.map(
      (format) => format.formatToParts(instant).find(({ type }) => type === "timeZoneName")?.value ?? timeZone,
    )
    return names.find((name) => !/^GMT.|^UTC./.test(name)) ?? names[0] ?? timeZone
  }
}

/** A larger share is written as ">999%". */
const TENTHS_MAX = 9_990n

/** Number format of an amount: all its places, two, one or none. */
function scaleOf(credits: string): 0 | 1 | 2 | 3 {
  const size = abs(toMicro(credits))
  if (size >= 100n * MICRO || size === 0n) return 3
  return size >= 10n * MICRO ? 2 : size >= MICRO / 100n ? 1 : 0
}

/**
 * Tenths of a percent, rounded half away from zero, but never up to a multiple of `step` that is not reached. Beyond TENTHS_MAX
 * only the sign is exact.
 */
function tenthsOf(part: bigint, whole: bigint, step: bigint): bigint {
  const size = abs(part) * 1000n
  let tenths = (2n * size + whole) / (2n * whole)
  if (tenths % step === 0n && tenths * whole > size) tenths -= 1n
  if (size > TENTHS_MAX * whole) tenths = TENTHS_MAX + 1n
  return part < 0n ? -tenths : tenths
}

/**
 * The largest unit that is at most a thousandth of the available credits and for which the rounded numbers have the same order
 * and percentage as the exact ones.
 */
function unitOf(used: bigint, available: bigint): bigint {
  const written = (part: bigint, whole: bigint) => {
    const tenths = tenthsOf(part, whole, 10n)
    return tenths === 0n && part !== 0n ? "little" : tenths
  }
  for (let unit = MICRO; unit > 1n; unit /= 10n) {
    if (unit * 1000n > available) continue
    const [shown, limit] = [cut(used, unit), round(available, unit)]
    const sameOrder = shown > limit === used > available && shown < limit === used < available
    if (sameOrder && written(shown, limit) === written(used, available)) return unit
  }
  return 1n
}

/** Rounds towards zero to a multiple of a unit. */
function cut(micro: bigint, unit: bigint): bigint {
  return (micro / unit) * unit
}

/** Rounds half to even to a multiple of a unit. For available credits, which are not negative. */
function round(micro: bigint, unit: bigint): bigint {
  const [quotient, rest] = [micro / unit, micro % unit]
  const up = 2n * rest > unit || (2n * rest === unit && quotient % 2n === 1n)
  return (quotient + (up ? 1n : 0n)) * unit
}

function abs(micro: bigint): bigint {
  return micro < 0n ? -micro : micro
}

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
] as const

function writeAgo(seconds: number): string {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? ["second", 1]
  const count = Math.floor(seconds / size)
  return `${count} ${unit}${count === 1 ? "" : "s"} ago`
}
