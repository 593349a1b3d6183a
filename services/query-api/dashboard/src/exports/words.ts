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

/** The causes to show: those that changed something, by their own changes where these add up to 0. */
export function causesOf({ causes, changes, re_rated }: Schemas["Changes"]): Schemas["CauseTotal"][] {
  return causes.filter(
    ({ cause, credits, events }) =>
      Number(credits) !== 0 ||
      events !== 0 ||
      changes.some((change) => change.cause === cause) ||
      (cause === "re_rated" && re_rated.length > 0),
  )
}
