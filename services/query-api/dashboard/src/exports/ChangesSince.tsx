import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { Schemas } from "../api/client"
import { useSigned } from "../explain/useSigned"
import { useFormat } from "../format/useFormat"
import { Failure } from "../ui/Failure"
import classes from "./Exports.module.css"
import { changesQuery } from "./queries"
import { CAUSES, causesOf, nameOfChange } from "./words"

/** What differs today from a file: causes that add up to the difference, and the largest changes. */
export function ChangesSince({ id }: { id: string }) {
  const { data, error, refetch } = useQuery(changesQuery(id))
  const format = useFormat()
  const signed = useSigned()
  if (error && !data) return <Failure error={error} retry={() => void refetch()} />
  if (!data) return <Skeleton height={120} />
  const causes = causesOf(data)
  if (causes.length === 0) return <p data-testid="changes">Nothing has changed since.</p>
  return (
    <div className={classes.content} data-testid="changes">
      <table className={classes.causes}>
        <caption>
          {format.exact(data.credits_before)} credits in the file, {format.exact(data.credits_now)} today
        </caption>
        <thead>
          <tr>
            <th scope="col">Cause</th>
            <th scope="col">Credits</th>
          </tr>
        </thead>
        <tbody>
          {causes.map(({ cause, credits }) => (
            <tr key={cause}>
              <th scope="row">{CAUSES[cause]}</th>
              <td>{signed(credits)}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">Difference</th>
            <td>{signed(data.difference)}</td>
          </tr>
        </tfoot>
      </table>
      <Worth data={data} />
      <ul className={classes.changes} aria-label="largest changes">
        {data.changes.map((change) => (
          <li
            key={`${change.cause} ${change.day} ${change.category} ${change.kind} ${change.feature} ${nameOfChange(change)}`}
          >
            <span>{nameOfChange(change)}</span>
            <strong>{signed(change.credits)}</strong>
            <small>
              {format.day(change.day)} · {CAUSES[change.cause]}
              {change.cause === "recategorized" && ` · ${change.category ?? "No category"}`}
            </small>
          </li>
        ))}
      </ul>
      {data.left_out > 0 && <p className={classes.quiet}>{format.count(data.left_out)} more changes are smaller.</p>}
    </div>
  )
}

/** What new prices change, in money. */
function Worth({ data: { worth, re_rated } }: { data: Schemas["Changes"] }) {
  const format = useFormat()
  if (re_rated.length === 0) return null
  const changed = worth.filter((each) => each.currency !== null && Number(each.re_rated) !== 0)
  const amounts = changed.map((each) => format.money(each.re_rated, each.currency ?? "")).join(", ")
  return (
    <p className={classes.quiet}>
      The contract's prices for these days have changed since
      {amounts && `, which makes ${amounts} for the file's credits`}.
    </p>
  )
}
