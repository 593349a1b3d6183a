import type { Schemas } from "../api/client"
import { useFormat } from "../format/useFormat"
import { CellHints } from "../ui/CellHints"
import classes from "./Reconcile.module.css"
import { type Line, type Step, stepsOf } from "./steps"

/** A block for each sum: its parts, and their total below them. */
export function Lines({ reconciliation }: { reconciliation: Schemas["Reconciliation"] }) {
  const steps = stepsOf(reconciliation)
  const hasMoney = reconciliation.lines.some(({ money }) => money !== null)
  return (
    <CellHints>
      <table className={classes.lines} data-testid="reconcile-lines">
        <caption className="visually-hidden">From the feature total to the contract total</caption>
        <thead>
          <tr>
            <th scope="col">
              <span className="visually-hidden">Line</span>
            </th>
            <th scope="col">Credits</th>
            {hasMoney && <th scope="col">Price</th>}
            {hasMoney && <th scope="col">Amount</th>}
          </tr>
        </thead>
        {steps.map((step) => (
          <Block key={step.title} step={step} hasMoney={hasMoney} />
        ))}
      </table>
    </CellHints>
  )
}

function Block({ step: { title, parts, total, besides }, hasMoney }: { step: Step; hasMoney: boolean }) {
  return (
    <tbody>
      <tr data-is="title">
        <th scope="colgroup" colSpan={hasMoney ? 4 : 2}>
          {title}
        </th>
      </tr>
      {parts.map(({ line, is }) => (
        <Row key={`${line.kind} ${line.label}`} line={line} is={is} hasMoney={hasMoney} />
      ))}
      <Row line={total} is="total" hasMoney={hasMoney} />
      {besides.map((line) => (
        <Row key={`${line.kind} ${line.label}`} line={line} is="inside" hasMoney={hasMoney} />
      ))}
    </tbody>
  )
}

function Row({ line, is, hasMoney }: { line: Line; is: "part" | "inside" | "total"; hasMoney: boolean }) {
  const format = useFormat()
  const { label, kind, credits, price, money, currency } = line
  return (
    <tr data-is={is} data-kind={kind}>
      <th scope="row">{kind === "add_on_not_included" ? `Not included: ${label}` : label}</th>
      <td data-hint={format.exact(credits)}>{format.column(credits)}</td>
      {hasMoney && <td>{price !== null && currency && format.price(price, currency)}</td>}
      {hasMoney && <td>{money !== null && currency && format.money(money, currency)}</td>}
    </tr>
  )
}
