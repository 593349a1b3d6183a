import { UnstyledButton } from "@mantine/core"
import type { CSSProperties } from "react"
import type { Schemas } from "../api/client"
import { compare, isZero } from "../format/credits"
import type { Format } from "../format/format"
import { useFormat } from "../format/useFormat"
import { Hint } from "../ui/Hint"
import { PRODUCT_NAMES } from "../ui/labels"
import { useChangeUrl } from "../url/useUrlState"
import classes from "./Products.module.css"
import { barOf, isCovered, lengthOf } from "./pace"

type Overview = Schemas["Overview"]

/** A bar per product, relative to its contracted amount, and one bar for all products together. */
export function Products({ overview }: { overview: Overview }) {
  const change = useChangeUrl()
  const format = useFormat()
  const { products, credits_available, credits_used, period_elapsed } = overview
  const hasAmounts = products.some(({ contracted }) => contracted !== null)
  const beside = besides(overview, format)
  const scale = credits_available && compare(credits_available, credits_used) > 0 ? credits_available : credits_used
  return (
    <section className={classes.panel} aria-labelledby="products-title">
      <header>
        <h3 id="products-title">Usage by product type</h3>
        <UnstyledButton
          className={classes.link}
          aria-keyshortcuts="c"
          onClick={() => change({ panel: "reconcile" }, "push")}
        >
          Why doesn't this match my contract?
        </UnstyledButton>
      </header>
      <div className={classes.together} aria-hidden="true">
        {products.map(({ product, used }) => (
          <span key={product} data-product={product} style={width(lengthOf(used, scale))} />
        ))}
      </div>
      <ul className={classes.products}>
        {products.map((product) => (
          <ProductRow
            key={product.product}
            credits={product}
            scale={scale}
            elapsed={period_elapsed}
            hasOthers={hasAmounts}
            covered={isCovered(overview)}
          />
        ))}
      </ul>
      {period_elapsed !== null && hasAmounts && (
        <p className={classes.note}>
          <span className={classes.tick} aria-hidden="true" /> Even pace as of today
        </p>
      )}
      {beside.length > 0 && <p className={classes.note}>{beside.join(" ")}</p>}
    </section>
  )
}

/** Available credits that belong to no product. */
function besides({ unallocated, add_ons }: Overview, format: Format): string[] {
  const words = []
  if (unallocated !== null && !isZero(unallocated)) {
    words.push(`${format.credits(unallocated)} credits are shared across products.`)
  }
  if (add_ons !== null && !isZero(add_ons)) words.push(`Includes ${format.credits(add_ons)} add-on credits.`)
  return words
}

interface RowProps {
  credits: Schemas["ProductCredits"]
  scale: string
  elapsed: string | null
  /** Whether any product has its own contracted amount. */
  hasOthers: boolean
  /** Whether the shared pool covers the product's usage beyond its own amount. */
  covered: boolean
}

function ProductRow({ credits, scale, elapsed, hasOthers, covered }: RowProps) {
  const format = useFormat()
  const { product, used, contracted, overage } = credits
  const bar = barOf(credits, scale)
  const isOver = overage !== null && !isZero(overage)
  const level = contracted !== null ? format.level(used, contracted) : undefined
  return (
    <li
      className={classes.product}
      data-testid={`product-${product}`}
      data-over={isOver ? (covered ? "covered" : "over") : undefined}
    >
      <span className={classes.name}>
        <span className={classes.swatch} data-product={product} aria-hidden="true" />
        {PRODUCT_NAMES[product]}
      </span>
      <span className={classes.bar} data-product={product} aria-hidden="true">
        <span className={classes.used} style={width(bar.used)} />
        {isOver && <span className={classes.overage} style={width(bar.overage)} />}
        {elapsed !== null && bar.limit !== null && (
          <span className={classes.tick} style={{ insetInlineStart: `${Number(elapsed) * bar.limit * 100}%` }} />
        )}
      </span>
      <span className={classes.amount}>
        <strong>
          <Hint plain label={format.exact(used)}>
            {level?.used ?? format.credits(used)}
          </Hint>
        </strong>
        {level ? ` of ${level.available}` : " used"}
      </span>
      <span className={classes.percent}>{level?.percent}</span>
      <span className={classes.rest}>
        {level?.over ? `+${level.over} over` : level?.left ? `${level.left} left` : hasOthers && "No allotment"}
      </span>
      {isOver && covered && (
        <span className={classes.beyond}>Over its allotment, covered by the pool: nothing to pay</span>
      )}
    </li>
  )
}

function width(share: number): CSSProperties {
  return { width: `${share * 100}%` }
}
