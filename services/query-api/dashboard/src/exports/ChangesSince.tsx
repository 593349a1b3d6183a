import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { Schemas } from "../api/client"
import { useSigned } from "../explain/useSigned"
import { useFormat } from "../format/useFormat"
import { Failure } from "../ui/Failure"
import classes from "./Exports.module.css"
import { changesQuery } from "./queries"
import { CAUSES, causesOf, nameOfChange, sentenceOf } from "./words"

/** What differs today from a file: causes that add up to the difference, and the largest changes. */
export function ChangesSince({ id }: { id: string }) {
  const { data, error, refetch } = useQuery(changesQuery(id))
  if (error && !data) return <Failure error={error} retry={() => void refetch()} />
  if (!data) return <Skeleton height={120} />
  return data.compared === "file" ? <FileChanges data={data} /> : <LineChanges data={data} />
}

/** Of a file whose lines are not kept: whether the same request has other bytes today. */
function FileChanges({ data }: { data: Schemas["FileChanges"] }) {
  const format = useFormat()
  const signed = useSigned()
  const { difference, credits_before, credits_now } = data
  if (data.same_bytes) return <p data-testid="changes">{sentenceOf(data)}</p>
  return (
    <div className={classes.content} data-testid="changes">
      <p>{sentenceOf(data)}</p>
      {credits_before !== null && credits_now !== null && difference !== null && (
        <p>
          {format.exact(credits_before)} credits in the file, {format.exact(credits_now)} today, difference{" "}
          {signed(difference)}
        </p>
      )}
      <p className={classes.quiet}>
        Lines: {format.count(data.lines_before)} in the file, {format.count(data.lines_now)} today. Causes are known
        only for files of usage whose lines are kept.
      </p>
    </div>
  )
}

function LineChanges({ data }: { data: Schemas["Changes"] }) {
  const format = useFormat()
  const signed = useSigned()
  const causes = causesOf(data)
  const lost = data.not_compared.map(({ from, to }) => format.days(from, to)).join(", ")
  if (causes.length === 0 && !lost) return <p data-testid="changes">Nothing has changed since.</p>
  return (
    <div className={classes.content} data-testid="changes">
      <table className={classes.causes}>
        <caption>
          {format.exact(data.credits_before)} credits in the file, {format.exact(data.credits_now)} today
        </caption>
        <thead>
          <tr>
            <th scope="col">Cause</th>
            <th scope="col">Changes</th>
            <th scope="col">Credits</th>
          </tr>
        </thead>
        <tbody>
          {causes.map(({ cause, credits, changes }) => (
            <tr key={cause}>
              <th scope="row">{CAUSES[cause]}</th>
              <td>{format.count(changes)}</td>
              <td>{signed(credits)}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">Difference</th>
            <td />
            <td>{signed(data.difference)}</td>
          </tr>
        </tfoot>
      </table>
      {lost && <p className={classes.quiet}>Not compared, because the time zone has changed: {lost}.</p>}
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
