import { Skeleton, UnstyledButton } from "@mantine/core"
import type { Schemas } from "../api/client"
import { isZero } from "../format/credits"
import { addDays, todayIn } from "../format/dates"
import { useFormat } from "../format/useFormat"
import { Hint } from "../ui/Hint"
import { PRODUCT_NAMES } from "../ui/labels"
import { useChangeUrl } from "../url/useUrlState"
import classes from "./Summary.module.css"
import { Change } from "./table/Change"

const PRELIMINARY_DAYS = 3

/** The table's total in one line, and each product's share of all usage. */
export function Summary({ breakdown }: { breakdown: Schemas["Breakdown"] | undefined }) {
  const format = useFormat()
  const changeUrl = useChangeUrl()
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
              <span className={classes.badge}>
                <Hint plain label="Usage from the last 3 days can still arrive or be corrected.">
                  Not final
                </Hint>
              </span>
            )}
          </dt>
          <dd>
            <Hint plain label={format.exact(total)} testId="breakdown-total">
              {format.column(total)}
            </Hint>
          </dd>
        </div>
        <div>
          <dt>Uses</dt>
          <dd>{format.count(events)}</dd>
        </div>
        {previous_range && previous !== null && (
          <div>
            <dt>
              {range.to > today ? (
                <Hint label={format.days(previous_range.from, previous_range.to)}>vs. same point last period</Hint>
              ) : (
                `vs. ${format.days(previous_range.from, previous_range.to)}`
              )}
            </dt>
            <dd>
              <Change credits={total} change={change} previous={previous} explained />
              <UnstyledButton
                className={`${classes.why} no-print`}
                onClick={() => changeUrl({ panel: "explain", explained: undefined, against: undefined }, "push")}
              >
                Why?
              </UnstyledButton>
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
            {PRODUCT_NAMES[share.product]} <span>{format.share(share.share)}</span>
          </li>
        ))}
      </ul>
    </figure>
  )
}
