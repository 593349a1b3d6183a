import type { Schemas } from "../../api/client"
import { compare, isZero, toMicro } from "../../format/credits"

export type Settings = Schemas["AlertSettingsResponse"]

/** The form's values, one field for each setting. */
export interface Draft {
  usageThresholds: number[]
  usageProjected: number[]
  usageRecipientsOn: boolean
  usageAddresses: string[]
  budgetOn: boolean
  budgetType: "recurring" | "one_time"
  /** As typed by the user. */
  budgetCredits: string
  budgetThresholds: number[]
  budgetProjected: number[]
  budgetRecipientsOn: boolean
  budgetAddresses: string[]
}

export type Field = keyof Draft
export type Mistakes = Partial<Record<Field, string>>

export const COMMON_THRESHOLDS = [50, 75, 90, 100]
export const THRESHOLD_MAX = 200
export const THRESHOLDS_MAX = 10
export const ADDRESSES_MAX = 50
const ADDRESS_CHARACTERS_MAX = 254
const ADDRESS = /^[^\s@<>,;:"()[\]\\]+@[^\s@<>,;:"()[\]\\]+\.[^\s@<>,;:"()[\]\\.]{2,}$/

export function draftOf({ usage, monthly_budget: budget }: Settings): Draft {
  return {
    usageThresholds: usage.thresholds,
    usageProjected: usage.projected_thresholds,
    usageRecipientsOn: usage.additional_recipients.enabled,
    usageAddresses: usage.additional_recipients.addresses,
    budgetOn: budget.enabled,
    budgetType: budget.type,
    budgetCredits: budget.credits === null ? "" : plain(budget.credits),
    budgetThresholds: budget.thresholds,
    budgetProjected: budget.projected_thresholds,
    budgetRecipientsOn: budget.additional_recipients.enabled,
    budgetAddresses: budget.additional_recipients.addresses,
  }
}

/** Without trailing zeros. */
export function plain(credits: string): string {
  return credits.replace(/\.?0+$/, "") || "0"
}

/** Rounded down to whole credits, as budgets are usually set; a small amount is unchanged. */
export function wholeOf(credits: string): string {
  return compare(credits, "10") < 0 ? plain(credits) : (credits.split(".")[0] ?? credits)
}

export function requestOf(draft: Draft): Schemas["AlertSettingsRequest"] {
  return {
    usage: {
      thresholds: draft.usageThresholds,
      projected_thresholds: draft.usageProjected,
      additional_recipients: { enabled: draft.usageRecipientsOn, addresses: draft.usageAddresses },
    },
    monthly_budget: {
      enabled: draft.budgetOn,
      type: draft.budgetType,
      credits: draft.budgetOn ? draft.budgetCredits || null : null,
      thresholds: draft.budgetThresholds,
      projected_thresholds: draft.budgetProjected,
      additional_recipients: { enabled: draft.budgetRecipientsOn, addresses: draft.budgetAddresses },
    },
  }
}

const FIELDS: readonly Field[] = [
  "usageThresholds",
  "usageProjected",
  "usageRecipientsOn",
  "usageAddresses",
  "budgetOn",
  "budgetType",
  "budgetCredits",
  "budgetThresholds",
  "budgetProjected",
  "budgetRecipientsOn",
  "budgetAddresses",
]

/** Fields in which two drafts differ, in the form's order. The order of thresholds and addresses is ignored. */
export function differences(one: Draft, other: Draft): Field[] {
  return FIELDS.filter((field) => comparable(one, field) !== comparable(other, field))
}

function comparable(draft: Draft, field: Field): string {
  const value = draft[field]
  if (Array.isArray(value)) return JSON.stringify([...value].sort())
  if (field === "budgetCredits") return draft.budgetOn ? plainOrAsTyped(draft.budgetCredits) : ""
  if (field === "budgetType") return draft.budgetOn ? draft.budgetType : ""
  return String(value)
}

function plainOrAsTyped(credits: string): string {
  try {
    return String(toMicro(credits))
  } catch {
    return credits
  }
}

/** A three-way merge: the other admin's saved settings, with this user's changes to the common base. */
export function keepMine(base: Draft, mine: Draft, theirs: Draft): Draft {
  const kept = Object.fromEntries(differences(base, mine).map((field) => [field, mine[field]]))
  return { ...theirs, ...kept }
}

/** Errors that the API would return, found before the request. */
export function mistakesOf(draft: Draft): Mistakes {
  const mistakes: Mistakes = {}
  if (draft.usageRecipientsOn && draft.usageAddresses.length === 0) {
    mistakes.usageAddresses = "Enter at least one email address, or turn this off."
  }
  if (!draft.budgetOn) return mistakes
  if (!isAmount(draft.budgetCredits)) mistakes.budgetCredits = "Enter a monthly amount greater than zero."
  if (draft.budgetThresholds.length + draft.budgetProjected.length === 0)
    mistakes.budgetThresholds = "Select at least one threshold."
  if (draft.budgetRecipientsOn && draft.budgetAddresses.length === 0) {
    mistakes.budgetAddresses = "Enter at least one email address, or turn this off."
  }
  return mistakes
}

function isAmount(credits: string): boolean {
  try {
    return !isZero(credits) && !credits.startsWith("-")
  } catch {
    return false
  }
}

/** Why a percentage cannot be added; undefined if it can. */
export function thresholdMistake(text: string, chosen: number[]): string | undefined {
  const percent = Number(text)
  if (!/^\d{1,3}$/.test(text) || percent < 1 || percent > THRESHOLD_MAX)
    return `Enter a whole number from 1 to ${THRESHOLD_MAX}.`
  if (chosen.includes(percent)) return `${percent}% is already selected.`
  if (chosen.length >= THRESHOLDS_MAX) return `At most ${THRESHOLDS_MAX} thresholds.`
  return undefined
}

/** Why an address cannot be added; undefined if it can. The API checks more strictly. */
export function addressMistake(address: string, chosen: string[]): string | undefined {
  if (address.length > ADDRESS_CHARACTERS_MAX || !ADDRESS.test(address))
    return `${address} isn’t a valid email address.`
  if (chosen.some((one) => one.toLowerCase() === address.toLowerCase())) return `${address} is already in the list.`
  if (chosen.length >= ADDRESSES_MAX) return `At most ${ADDRESSES_MAX} addresses.`
  return undefined
}

const POINTERS: [string, Field][] = [
  ["/usage/thresholds", "usageThresholds"],
  ["/usage/projected_thresholds", "usageProjected"],
  ["/usage/additional_recipients", "usageAddresses"],
  ["/monthly_budget/credits", "budgetCredits"],
  ["/monthly_budget/thresholds", "budgetThresholds"],
  ["/monthly_budget/projected_thresholds", "budgetProjected"],
  ["/monthly_budget/additional_recipients", "budgetAddresses"],
]

/** The API's errors, by the form field that shows them. */
export function mistakesIn(problem: Schemas["Problem"]): Mistakes {
  const mistakes: Mistakes = {}
  for (const { pointer, detail } of problem.errors ?? []) {
    const found = POINTERS.find(([start]) => pointer?.startsWith(start))
    if (found) mistakes[found[1]] ??= sentence(detail)
  }
  return mistakes
}

function sentence(detail: string): string {
  return `${detail.charAt(0).toUpperCase()}${detail.slice(1)}${/[.!?]$/.test(detail) ? "" : "."}`
}
