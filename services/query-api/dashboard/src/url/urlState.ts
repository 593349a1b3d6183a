import { addDays } from "../format/dates"
import type { Search } from "./search"

/** A range of days, in the API's parameters; empty means the current credit period. */
export interface Range {
  credit_period?: string
  /** Months or dates, both or neither. */
  from?: string
  to?: string
  range?: "all"
}

/** Filters by who used it, in the API's parameters. */
export interface Who {
  actor?: string
  group?: string
  /** KEY:VALUE */
  label?: string
  /** Absent: usage belongs to the group of its actor at the time. */
  membership?: "now"
}

/** The shareable state of the page; all of it is in the URL. Absent means the default. */
export interface UrlState extends Range, Who {
  /** A tab beside those of the products. `product` is then a filter. */
  tab?: Tab
  product?: Product
  view?: ViewBy
  surface?: string[]
  group_by?: "surface"
  categories?: "now"
  interval?: "hour" | "day" | "week" | "month"
  /** The chart's scope: the table's view, or all products together. */
  scope?: "all"
  sum?: "cumulative"
  chart?: "table"
  q?: string
  sort?: string
  /** Rows of the table that are expanded. */
  open?: string[]
  /** By what the tab People divides usage; with `label`, by the values of `label_key`. */
  by?: By
  label_key?: string
  /** Id of the agent whose runs the tab Runs shows; empty: runs without an agent. */
  agent?: string
  panel?: (typeof PANELS)[number]
  /** The row whose people the panel `drivers` shows, such as "agent:agt_1". */
  of?: string
  /** Key of the run that the panel `run` shows. */
  run?: string
  /** Key of the use whose receipt it shows. */
  receipt?: string
  /** The days that the panel `explain` explains (absent: the page's range), and those before, as "2026-10-01/2026-10-31". */
  explained?: string
  against?: string
  /** Id of the API key that the page Connections shows. */
  key?: string
}

export type Tab = "people" | "runs"
export type By = "person" | "group" | "label"
const PANELS = [
  "exports",
  "alerts",
  "history",
  "channels",
  "reconcile",
  "shortcuts",
  "audit",
  "drivers",
  "run",
  "explain",
] as const

export const VIEWS = {
  assistant: ["models", "tools", "other_features"],
  agents: ["agents", "features"],
  api: ["namespaces"],
} as const

export type Product = keyof typeof VIEWS
export type ViewBy = (typeof VIEWS)[Product][number]

const DAYS = /^\d{4}-\d{2}(-\d{2})?$/
const LABEL = /^[^:]+:./
const KEY = /^[0-9a-f-]+$/
const API_KEY = /^[0-9A-Za-z]+$/
const SORT = /^-?(name|credits|uses|share|change)$/
const TEXT_MAX = 200
/** An id of an actor. */
const ID_MAX = 254
const AGENT_MAX = 64
const LIST_MAX = 100
/** Two ids of 64 characters and a slash; % and / inside the ids are encoded as three characters. */
const PERIOD_MAX = 385

/** The view of a URL. Invalid parameters are ignored. */
export function readUrlState(search: Search): UrlState {
  const product = oneOf(search.product, Object.keys(VIEWS) as Product[])
  return compact({
    ...readRange(search),
    tab: oneOf<Tab>(search.tab, ["people", "runs"]),
    product,
    view: oneOf<ViewBy>(search.view, VIEWS[product ?? "assistant"]),
    by: oneOf<By>(search.by, ["person", "group", "label"]),
    label_key: text(search.label_key) || undefined,
    actor: id(search.actor),
    group: id(search.group),
    label: matching(search.label, LABEL),
    membership: oneOf(search.membership, ["now"]),
    surface: texts(search.surface),
    group_by: oneOf(search.group_by, ["surface"]),
    categories: oneOf(search.categories, ["now"]),
    interval: oneOf(search.interval, ["hour", "day", "week", "month"]),
    scope: oneOf(search.scope, ["all"]),
    sum: oneOf(search.sum, ["cumulative"]),
    chart: oneOf(search.chart, ["table"]),
    q: text(search.q) || undefined,
    sort: matching(search.sort, SORT),
    open: texts(search.open),
    agent: first(search.agent)?.slice(0, AGENT_MAX),
    panel: oneOf(search.panel, PANELS),
    of: id(search.of),
    run: matching(search.run, KEY),
    receipt: matching(search.receipt, KEY),
    explained: pairOfDays(search.explained),
    against: pairOfDays(search.against),
    key: matching(search.key, API_KEY),
  })
}

/** The view's range; parameters that are not used are undefined. */
export function rangeOf(url: UrlState): Range {
  const { credit_period, from, to, range } = url
  return compact({ credit_period, from, to, range })
}

/** The API key of the page Connections. */
export function keyOf({ key }: UrlState): Pick<UrlState, "key"> {
  return compact({ key })
}

/** The view's filters by who used it; parameters that are not used are undefined. */
export function whoOf({ actor, group, label, membership }: UrlState): Who {
  return compact({ actor, group, label, membership })
}

/** Whether the view shows only usage of some people. */
export function isOfSome({ actor, group, label }: UrlState): boolean {
  return actor !== undefined || group !== undefined || label !== undefined
}

/** The API's query for the table; downloads use the same one. */
export function apiQuery(url: UrlState) {
  const product = url.product ?? "assistant"
  const { surface, group_by, categories } = url
  return {
    ...rangeOf(url),
    ...whoOf(url),
    product,
    view: url.view ?? VIEWS[product][0],
    ...compact({ surface, group_by, categories }),
  }
}

/** One kind of range: a credit period overrides months, and both override all time. */
function readRange(search: Search): Range {
  const creditPeriod = first(search.credit_period)?.slice(0, PERIOD_MAX)
  if (creditPeriod) return { credit_period: creditPeriod }
  const from = daysOf(search.from)
  const to = daysOf(search.to)
  if (from && to && from.length === to.length && from <= to) return { from, to }
  return search.range === "all" ? { range: "all" } : {}
}

/** A valid month or date. */
function daysOf(value: Search[string]): string | undefined {
  const given = matching(value, DAYS)
  if (!given) return undefined
  const date = given.length === 7 ? `${given}-01` : given
  return !Number.isNaN(Date.parse(date)) && addDays(date, 0) === date ? given : undefined
}

/** Two dates in order. */
function pairOfDays(value: Search[string]): string | undefined {
  const given = text(value)
  const [from, to, ...more] = given?.split("/") ?? []
  const isValid = [from, to].every((day) => day?.length === 10 && daysOf(day) === day)
  return from && to && isValid && from <= to && more.length === 0 ? given : undefined
}

function first(value: Search[string]): string | undefined {
  return Array.isArray(value) ? value[0] : value
}

function text(value: Search[string]): string | undefined {
  return first(value)?.slice(0, TEXT_MAX)
}

function id(value: Search[string]): string | undefined {
  return first(value)?.slice(0, ID_MAX) || undefined
}

function texts(value: Search[string]): string[] | undefined {
  if (value === undefined) return undefined
  return [...new Set(Array.isArray(value) ? value : [value])].slice(0, LIST_MAX)
}

function matching(value: Search[string], pattern: RegExp): string | undefined {
  const given = text(value)
  return given && pattern.test(given) ? given : undefined
}

function oneOf<Word extends string>(value: Search[string], words: readonly Word[]): Word | undefined {
  return words.find((word) => word === first(value))
}

type Present<Given> = { [Name in keyof Given]: Exclude<Given[Name], undefined> }

export function compact<Given extends object>(given: Given): Partial<Present<Given>> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<Present<Given>>
}
