import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { isZero, toMicro } from "../format/credits"
import { todayIn } from "../format/dates"
import type { Format } from "../format/format"
import { listOf } from "../format/format"
import { useFormat } from "../format/useFormat"
import { Failure } from "../ui/Failure"
import { PRODUCT_NAMES, VIEW_NAMES } from "../ui/labels"
import { isOfSome, VIEWS } from "../url/urlState"
import { useUrlState } from "../url/useUrlState"
import classes from "./Explain.module.css"
import { Movers } from "./Movers"
import { type Explanation, unknownIn } from "./parts"
import { explainQuery } from "./queries"
import { Waterfall } from "./Waterfall"

/** A change in one sentence, as a waterfall of its parts, and what moved most. */
export default function ExplainView() {
  const [url] = useUrlState()
  // While the panel closes, the days are no longer in the URL.
  const { data, error, refetch, isPlaceholderData } = useQuery({
    ...explainQuery(url),
    enabled: url.panel === "explain",
  })
  const format = useFormat()
  if (!data) return error ? <Failure error={error} retry={() => void refetch()} /> : <Skeleton height={420} />
  return (
    <div className={classes.explain} data-stale={isPlaceholderData}>
      <p className={classes.scope}>{scopeOf(url)}</p>
      <p className={classes.lead} data-testid="explain-lead">
        {sentenceOf(data, format)}
      </p>
      {isZero(data.previous) && isZero(data.total) ? (
        <p className={classes.note}>Neither of the ranges has usage.</p>
      ) : (
        <>
          <Waterfall explanation={data} />
          <Movers movers={data.movers} />
        </>
      )}
      <Notes explanation={data} />
    </div>
  )
}

/** What the numbers are about: the chart's usage. */
function scopeOf(url: ReturnType<typeof useUrlState>[0]): string {
  const product = url.product ?? "assistant"
  const names = url.scope === "all" ? ["All products"] : [PRODUCT_NAMES[product]]
  const view = url.view ?? VIEWS[product][0]
  if (url.scope !== "all" && product === "assistant") names.push(VIEW_NAMES[view])
  if (url.surface) names.push("some surfaces")
  if (isOfSome(url)) names.push("some people")
  return names.join(" · ")
}

function sentenceOf(explanation: Explanation, format: Format): string {
  const { range, before_range, total, change, relative_change } = explanation
  const before = format.days(before_range.from, before_range.to)
  const now = `${format.days(range.from, range.to)}: ${format.credits(total)} credits`
  const difference = toMicro(change)
  if (difference === 0n) return `${now}, as many as ${before}.`
  const size = format.credits(change.replace("-", ""))
  const relative = relative_change === null ? "" : ` (${format.change(relative_change)})`
  return `${now}, ${size} ${difference > 0n ? "more" : "fewer"} than ${before}${relative}.`
}

function Notes({ explanation }: { explanation: Explanation }) {
  const { range, before_range, before_days, days, parts, unpriced } = explanation
  const today = todayIn(useFormat().timeZone)
  const unknown = unknownIn(parts)
  return (
    <div className={classes.notes}>
      {before_days !== days && (
        <p>
          {days} days are compared with {before_days}. All rows but the one for days compare equal numbers of days.
        </p>
      )}
      {(range.to === today || before_range.to === today) && <p>Today is not over, but counts as a whole day.</p>}
      {unknown.length > 0 && (
        <p>With these filters, {listOf(unknown)} cannot be separated from use and credits per use.</p>
      )}
      {unpriced.length > 0 && (
        <p>
          Prices of several units of {listOf(unpriced.slice(0, 3).map(({ feature_name }) => feature_name))}
          {unpriced.length > 3 && ` and ${unpriced.length - 3} more`} changed differently. Their effect is in credits
          per use.
        </p>
      )}
    </div>
  )
}
