import { Button, UnstyledButton } from "@mantine/core"
import { useState } from "react"
import type { Schemas } from "../api/client"
import table from "../breakdown/table/UsageTable.module.css"
import { useFormat } from "../format/useFormat"
import { CellHints } from "../ui/CellHints"
import { Hint } from "../ui/Hint"
import { ScrollRegion } from "../ui/ScrollRegion"
import { useUrlState } from "../url/useUrlState"
import classes from "./Runs.module.css"

const SHOWN_AT_FIRST = 8

interface Props {
  agents: Schemas["AgentRuns"][]
  notListed: number
}

/** How much a run of each agent costs. */
export function AgentRuns({ agents, notListed }: Props) {
  const format = useFormat()
  const [url, change] = useUrlState()
  const [isWhole, setWhole] = useState(false)
  const shown = isWhole ? agents : agents.slice(0, SHOWN_AT_FIRST)
  const caption = "Credits per run, by agent"
  const names = agents.map(({ agent }) => agent?.name)
  return (
    <ScrollRegion className={table.scroll} label={caption}>
      <CellHints>
        <table className={table.table} data-testid="agent-runs">
          <caption className="visually-hidden">{caption}</caption>
          <thead>
            <tr>
              <th scope="col">Agent</th>
              <th scope="col">Credits</th>
              <th scope="col">Runs</th>
              <th scope="col">
                <Hint label="Half of the runs used at most this many credits">Median</Hint>
              </th>
              <th scope="col">
                <Hint label="95% of the runs used at most this many credits">95th percentile</Hint>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ agent, runs, credits, p50, p95 }) => (
              <tr key={agent?.id ?? ""}>
                <th scope="row">
                  <div className={table.line}>
                    {url.agent === undefined ? (
                      <UnstyledButton
                        className={classes.open}
                        onClick={() => change({ agent: agent?.id ?? "" }, "push")}
                      >
                        {agent?.name ?? "No agent"}
                        <span className="visually-hidden">: show only its runs</span>
                      </UnstyledButton>
                    ) : (
                      <span>{agent?.name ?? "No agent"}</span>
                    )}
                    {names.filter((name) => name === agent?.name).length > 1 && (
                      <span className={table.id}>{agent?.id}</span>
                    )}
                  </div>
                </th>
                <td data-hint={format.exact(credits)}>{format.column(credits)}</td>
                <td>{format.count(runs)}</td>
                <td data-hint={format.exact(p50)}>{format.column(p50)}</td>
                <td data-hint={format.exact(p95)}>{format.column(p95)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </CellHints>
      {shown.length < agents.length && (
        <div className={classes.more}>
          <Button variant="subtle" size="compact-sm" onClick={() => setWhole(true)}>
            Show all {format.count(agents.length)} agents
          </Button>
        </div>
      )}
      {isWhole && notListed > 0 && <p className={classes.quiet}>{format.count(notListed)} more agents have runs.</p>}
    </ScrollRegion>
  )
}
