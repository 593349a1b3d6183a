import type { Schemas } from "../api/client"
import { useFormat } from "../shell/useFormat"
import classes from "./Reconcile.module.css"

/** Sums stand under what they are the sum of; lines that only tell more about another are set in. */
export function Lines({ reconciliation: { lines, sums } }: { reconciliation: Schemas["Reconciliation"] }) {
  const format = useFormat()
  const totals = new Set(sums.map(({ total }) => total))
  const hasMoney = lines.some(({ money }) => money !== null)
  return (
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
      <tbody>
        {lines.map((line) => (
          <tr
            key={`${line.kind} ${line.label}`}
            data-total={totals.has(line.kind)}
            data-inside={line.included_in !== null}
          >
            <th scope="row">{line.label}</th>
            <td title={format.exact(line.credits)}>{format.column(line.credits)}</td>
            {hasMoney && <td>{line.price !== null && line.currency && format.price(line.price, line.currency)}</td>}
            {hasMoney && <td>{line.money !== null && line.currency && format.money(line.money, line.currency)}</td>}
          </tr>
        ))}
      </tbody>
    </table>
  )
}
