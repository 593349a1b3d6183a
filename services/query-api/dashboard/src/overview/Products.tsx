import { UnstyledButton } from "@mantine/core"
import type { CSSProperties } from "react"
import type { Schemas } from "../api/client"
import { compare, fraction, isZero, subtract } from "../credits"
import type { Format } from "../format"
import { useFormat } from "../shell/useFormat"
import { useChangeView } from "../view/useView"
import { PRODUCT_NAMES } from "../words"
import { Team } from "./Cards"
import classes from "./Products.module.css"
import { barOf, lengthOf } from "./standing"

type Overview = Schemas["Overview"]

const LIST = new Intl.ListFormat("en", { type: "conjunction" }) // the words around it are English

/** A bar per product, of its contracted amount, and all of them together as one. */
export function Products({ overview }: { overview: Overview }) {
  const change = useChangeView()
  const format = useFormat()
  const { products, credits_available, credits_used, period_elapsed, account_team } = overview
  const over = products.filter(({ overage }) => overage !== null && !isZero(overage))
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
          Why does this not match my contract?
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
          />
        ))}
      </ul>
      {period_elapsed !== null && hasAmounts && (
        <p className={classes.note}>
          <span className={classes.tick} aria-hidden="true" /> marks where an even pace would be today.
        </p>
      )}
      {beside.length > 0 && <p className={classes.note}>{beside.join(" ")}</p>}
      {over.length > 0 && (
        <p className={classes.over}>
          {LIST.format(over.map(({ product }) => PRODUCT_NAMES[product]))} used more than contracted.{" "}
          {account_team ? <Team team={account_team} /> : "Ask your account team what that means for your contract."}
        </p>
      )}
    </section>
  )
}

/** What is available and belongs to no product. */
function besides({ unallocated, add_ons }: Overview, format: Format): string[] {
  const words = []
  if (unallocated !== null && !isZero(unallocated)) {
    words.push(`${format.credits(unallocated)} contracted credits are not allocated: any product may use them.`)
  }
  if (add_ons !== null && !isZero(add_ons))
    words.push(`Add-ons give ${format.credits(add_ons)} of the available credits.`)
  return words
}

interface RowProps {
  credits: Schemas["ProductCredits"]
  scale: string
  elapsed: string | null
  /** Whether some product has an amount of its own. */
  hasOthers: boolean
}

function ProductRow({ credits, scale, elapsed, hasOthers }: RowProps) {
  const format = useFormat()
  const { product, used, contracted, overage } = credits
  const bar = barOf(credits, scale)
  const isOver = overage !== null && !isZero(overage)
  const left = contracted !== null && !isOver ? subtract(contracted, used) : null
  return (
    <li className={classes.product} data-testid={`product-${product}`}>
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
        <strong title={format.exact(used)}>{format.credits(used)}</strong>
        {contracted === null ? " used" : ` of ${format.credits(contracted)}`}
      </span>
      <span className={classes.percent}>
        {contracted !== null && !isZero(contracted) && format.share(fraction(used, contracted))}
      </span>
      <span className={classes.rest} data-over={isOver}>
        {isOver
          ? `+${format.credits(overage)} over`
          : left !== null
            ? `${format.credits(left)} left`
            : hasOthers
              ? "no amount"
              : ""}
      </span>
    </li>
  )
}

function width(share: number): CSSProperties {
  return { width: `${share * 100}%` }
}
