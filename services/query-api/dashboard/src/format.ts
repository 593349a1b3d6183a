import { compare, toMicro } from "./credits"

/**
 * All that is written for people: in the organization's locale and time zone, wherever the reader sits.
 * Credits stay decimal strings on the way into Intl, which formats them exactly.
 */
export interface Format {
  locale: string
  timeZone: string
  /** 12,093 and, under ten, 9.25. */
  credits: (credits: string) => string
  /** Always two places, so that a column of them lines up. */
  column: (credits: string) => string
  /** Every place that is not zero: for tooltips and copies. */
  exact: (credits: string) => string
  /** 12.1K */
  compact: (credits: string) => string
  count: (count: number) => string
  /** Of a percentage such as "87.16": cut, not rounded, so that 99.99 is never "100 %". */
  percent: (percent: string) => string
  /** Of a fraction such as "0.250000". */
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
  const whole = number({ maximumFractionDigits: 0 })
  const two = number({ minimumFractionDigits: 2, maximumFractionDigits: 2 })
  const percent = number({
    style: "percent",
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
    roundingMode: "trunc",
  })
  const signed = number({
    style: "percent",
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
    signDisplay: "exceptZero",
  })
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
    credits: (credits) => (isSmall(credits) ? two(credits) : whole(credits)),
    column: two,
    exact: number({ maximumFractionDigits: 6 }),
    compact: number({ notation: "compact", maximumFractionDigits: 1 }),
    count: (count) => counted.format(count),
    percent: (text) => percent(`${text}e-2`),
    share: percent,
    change: signed,
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

function isSmall(credits: string): boolean {
  return toMicro(credits) !== 0n && compare(credits, "10") < 0 && compare(credits, "-10") > 0
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
