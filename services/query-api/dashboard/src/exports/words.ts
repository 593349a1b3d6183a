import type { Schemas } from "../api/client"
import { PRODUCT_NAMES } from "../ui/labels"
import type { Product } from "../url/urlState"

type Cause = Schemas["CauseTotal"]["cause"]

export const CAUSES: Record<Cause, string> = {
  late: "Counted since",
  corrected: "Corrected",
  recategorized: "Other category",
  moved: "Other day",
  re_rated: "Other price",
}

/** What a change is about: "Search · Report · web". */
export function nameOfChange(change: Schemas["Change"]): string {
  const product = PRODUCT_NAMES[change.product as Product] ?? change.product
  return [change.feature_name || product, change.agent_name ?? change.agent_id, change.surface]
    .filter(Boolean)
    .join(" · ")
}

/** The causes to show: those that changed something, also if their changes add up to 0 or are too small to be listed. */
export function causesOf({ causes }: Schemas["Changes"]): Schemas["CauseTotal"][] {
  return causes.filter(({ changes }) => changes > 0)
}

/** Whether a file has changed since. Of some files only lines and credits can be compared. */
export function sentenceOf(data: Schemas["FileChanges"]): string {
  if (data.same_bytes) return "Nothing has changed since."
  if (data.same_bytes === false || data.lines_before !== data.lines_now) return "The same file has other content today."
  if (data.credits_before === null) return "The number of lines is the same today. Bytes of such a file always differ."
  if (data.credits_before !== data.credits_now) return "The same file has other content today."
  return "Lines and credits add up to the same today. Bytes of such a file always differ."
}
