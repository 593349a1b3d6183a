import { Skeleton } from "@mantine/core"
import type { Schemas } from "../api/client"
import { isZero } from "../credits"
import { addDays, todayIn } from "../dates"
import { useFormat } from "../shell/useFormat"
import { PRODUCT_NAMES } from "../words"
import { Change } from "./Change"
import classes from "./Summary.module.css"

const PRELIMINARY_DAYS = 3

/** The sum of the table in one line, and what the products are to each other. */
export function Summary({ breakdown }: { breakdown: Schemas["Breakdown"] | undefined }) {
  const format = useFormat()
  if (!breakdown) return <Skeleton height={58} radius="md" />
  const { total, events, change, previous, previous_range, product_shares, product, range } = breakdown
  const today = todayIn(format.timeZone)
  const isPreliminary = range.to > addDays(today, -PRELIMINARY_DAYS)
  return (
    <div className={classes.summary}>
      <dl className={classes.figures}>
        <div>
          <dt>
            Credits
            {isPreliminary && (
              <span className={classes.badge} title="Usage of the last days can still arrive and be corrected.">
                preliminary
              </span>
            )}
          </dt>
          <dd title={format.exact(total)} data-testid="breakdown-total">
            {format.column(total)}
          </dd>
        </div>
        <div>
          <dt>Uses</dt>
          <dd>{format.count(events)}</dd>
        </div>
        {previous_range && previous !== null && (
          <div>
            <dt>
              {range.to > today ? "So far, against all of " : "Against "}
              {format.days(previous_range.from, previous_range.to)}
            </dt>
            <dd>
              <Change credits={total} change={change} previous={previous} />
            </dd>
          </div>
        )}
      </dl>
      <Shares shares={product_shares} product={product} />
    </div>
  )
}

function Shares({ shares, product }: { shares: Schemas["ProductShare"][]; product: string }) {
  const format = useFormat()
  if (shares.every(({ credits }) => isZero(credits))) return null
  return (
    <figure className={classes.shares} data-testid="product-shares">
      <figcaption>Share of all usage</figcaption>
      <div className={classes.strip} aria-hidden="true">
        {shares.map((share) => (
          <span
            key={share.product}
            data-product={share.product}
            style={{ width: `${Math.max(0, Number(share.share)) * 100}%` }}
          />
        ))}
      </div>
      <ul>
        {shares.map((share) => (
          <li key={share.product} data-product={share.product} data-shown={share.product === product}>
            {PRODUCT_NAMES[share.product]} <span title={format.exact(share.credits)}>{format.share(share.share)}</span>
          </li>
        ))}
      </ul>
    </figure>
  )
}
