import { fromMicro, toMicro } from "./credits"

/**
 * Numbers of one sentence: they add up, and agree with the percentage. `used` is never more than was used. Exactly one of
 * `left` and `over` is a text; `percent` is null when nothing is available.
 */
export interface LevelText {
  used: string
  available: string
  left: string | null
  over: string | null
  percent: string | null
}

/**
 * All that is written for people: in the organization's locale and time zone, wherever the reader sits.
 * Credits stay decimal strings on the way into Intl, which formats them exactly. Mails and Slack follow the same rules
 * (schemas/flexcredits_schemas/credits.py); schemas/texts/credits.json has inputs and texts that the tests of both read.
 */
export interface Format {
  locale: string
  timeZone: string
  /** 12,093; under a hundred 89.5; under ten 9.25; under a hundredth 0.004. */
  credits: (credits: string) => string
  /** 99.7 of 100: as many places as the percentage needs. */
  level: (used: string, available: string) => LevelText
  /** Always two places, so that a column of them lines up; "<0.01" for less that is not nothing. */
  column: (credits: string) => string
  /** Every place that is not zero: for tooltips and copies. */
  exact: (credits: string) => string
  /** 12.1K */
  compact: (credits: string) => string
  count: (count: number) => string
  /** Of a level such as "87.16": rounded, but never to a whole percent that is not reached. */
  percent: (percent: string) => string
  /** Of a part such as "0.250000": rounded, but never to all. */
  share: (fraction: string) => string
  /** Signed, of a fraction. */
  change: (fraction: string) => string
  money: (amount: string, currency: string) => string
  /** Of one credit: with all its places. */
  price: (amount: string, currency: string) => string
  /** Of a date such as "2026-11-24", which has no time zone. */
  day: (date: string) => string
  shortDay: (date: string) => string
  month: (month: string) => string
  shortMonth: (month: string) => string
  /** Without the year. */
  monthName: (month: string) => string
  days: (from: string, to: string) => string
  weekday: (date: string) => string
  hour: (instant: Date) => string
  time: (instant: Date) => string
  moment: (instant: Date) => string
  /** A phrase of the page's sentences, and so in their language. */
  ago: (seconds: number) => string
}

export function makeFormat(givenLocale: string, givenTimeZone: string): Format {
  const locale = isKnown(() => Intl.getCanonicalLocales(givenLocale)) ? givenLocale : "en-US"
  const timeZone = isKnown(() => new Intl.DateTimeFormat("en", { timeZone: givenTimeZone })) ? givenTimeZone : "UTC"
  const number = (options: Intl.NumberFormatOptions) => {
    const format = new Intl.NumberFormat(locale, options)
    return (decimal: string) => format.format(decimal as Intl.StringNumericLiteral)
  }
  const date = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(locale, options)
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
  const hour = date({ timeZone, hour: "2-digit", minute: "2-digit" })
  const time = date({ timeZone, hour: "2-digit", minute: "2-digit", second: "2-digit" })
  const moment = date({ timeZone, dateStyle: "medium", timeStyle: "long" })
  const counted = new Intl.NumberFormat(locale)
  return {
    locale,
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
    days: (from, to) => day.formatRange(new Date(from), new Date(to)),
    weekday: (text) => weekday.format(new Date(text)),
    hour: (instant) => hour.format(instant),
    time: (instant) => time.format(instant),
    moment: (instant) => moment.format(instant),
    ago: writeAgo,
  }
}

/** Facts about an organization may name what this browser has not heard of. */
function isKnown(use: () => unknown): boolean {
  try {
    use()
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

const MICRO = 1_000_000n
/** A larger share is written as ">999%". */
const TENTHS_MAX = 9_990n

/** Which of four ways to write an amount: all its places, two, one or none. */
function scaleOf(credits: string): 0 | 1 | 2 | 3 {
  const size = abs(toMicro(credits))
  if (size >= 100n * MICRO || size === 0n) return 3
  return size >= 10n * MICRO ? 2 : size >= MICRO / 100n ? 1 : 0
}

/**
 * Tenths of a percent, rounded half away from zero, but never up to a multiple of `step` that is not reached. Beyond TENTHS_MAX
 * only the sign is right.
 */
function tenthsOf(part: bigint, whole: bigint, step: bigint): bigint {
  const size = abs(part) * 1000n
  let tenths = (2n * size + whole) / (2n * whole)
  if (tenths % step === 0n && tenths * whole > size) tenths -= 1n
  if (size > TENTHS_MAX * whole) tenths = TENTHS_MAX + 1n
  return part < 0n ? -tenths : tenths
}

/**
 * The largest unit that is a thousandth of what is available or less, and with which the numbers are in the same order and
 * give the same percentage as the true ones.
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

/** To a multiple of a unit, towards zero. */
function cut(micro: bigint, unit: bigint): bigint {
  return (micro / unit) * unit
}

/** To the nearest multiple of a unit, half to even. Of what is available, which is not negative. */
function round(micro: bigint, unit: bigint): bigint {
  const [quotient, rest] = [micro / unit, micro % unit]
  const up = 2n * rest > unit || (2n * rest === unit && quotient % 2n === 1n)
  return (quotient + (up ? 1n : 0n)) * unit
}

function abs(micro: bigint): bigint {
  return micro < 0n ? -micro : micro
}

const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
] as const

function writeAgo(seconds: number): string {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? ["s", 1]
  return `${Math.floor(seconds / size)} ${unit} ago`
}
