import { useQuery } from "@tanstack/react-query"
import { deletedAgentsQuery } from "../api/queries"
import { fraction } from "../credits"
import { useFormat } from "../shell/useFormat"
import { useView } from "../view/useView"
import { rangeOf } from "../view/view"
import classes from "./UsageTable.module.css"

/** Which agents are in the row of the deleted ones: asked for only when somebody opens it. */
export function DeletedAgents({ total }: { total: string }) {
  const [view] = useView()
  const format = useFormat()
  const { data, error } = useQuery(deletedAgentsQuery(rangeOf(view), view.surface))
  if (!data) {
    return (
      <tr data-depth={1}>
        <th scope="row" className={classes.inside}>
          {error ? `They cannot be listed now: ${error.message}` : "Listing them…"}
        </th>
        <td colSpan={4} />
      </tr>
    )
  }
  return data.agents.map((agent) => (
    <tr key={agent.id} data-depth={1} data-kind="deleted-agent">
      <th scope="row" className={classes.inside}>
        <span className={classes.line}>
          {agent.name || agent.id}
          {agent.deleted_at && <span className={classes.tag}>deleted {format.date(new Date(agent.deleted_at))}</span>}
        </span>
      </th>
      <td title={format.exact(agent.credits)}>{format.column(agent.credits)}</td>
      <td>{format.share(fraction(agent.credits, total))}</td>
      <td>{format.count(agent.events)}</td>
      <td />
    </tr>
  ))
}
