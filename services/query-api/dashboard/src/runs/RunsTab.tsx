import { Button, Skeleton, UnstyledButton } from "@mantine/core"
import { IconRobot } from "@tabler/icons-react"
import { useInfiniteQuery } from "@tanstack/react-query"
import type { Schemas } from "../api/client"
import breakdown from "../breakdown/Breakdown.module.css"
import summary from "../breakdown/Summary.module.css"
import table from "../breakdown/table/UsageTable.module.css"
import { useFormat } from "../format/useFormat"
import { CellHints } from "../ui/CellHints"
import { Failure } from "../ui/Failure"
import { Hint } from "../ui/Hint"
import { ScrollRegion } from "../ui/ScrollRegion"
import { isOfSome } from "../url/urlState"
import { useUrlState } from "../url/useUrlState"
import { Chip, ICON, WhoChips } from "../who/WhoChips"
import { AgentRuns } from "./AgentRuns"
import { runsQuery } from "./queries"
import classes from "./Runs.module.css"

/** What conversations, workflow runs and traces cost: per agent, and the dearest ones. */
export default function RunsTab() {
  const [url, change] = useUrlState()
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(runsQuery(url))
  const format = useFormat()
  const page = data?.pages.at(-1)
  const isFiltered = isOfSome(url) || url.agent !== undefined
  const agent = page?.agents.find((each) => (each.agent?.id ?? "") === url.agent)?.agent
  return (
    <>
      {isFiltered && (
        <div className={breakdown.filters}>
          <WhoChips>
            {url.agent !== undefined && (
              <Chip kind="agent" icon={<IconRobot {...ICON} />} remove={() => change({ agent: undefined }, "push")}>
                {(agent?.name ?? url.agent) || "No agent"}
              </Chip>
            )}
          </WhoChips>
        </div>
      )}
      {!page ? (
        error ? (
          <Failure error={error} retry={() => void refetch()} />
        ) : (
          <Skeleton height={420} radius="md" />
        )
      ) : page.runs === 0 ? (
        <p className={classes.nothing} data-testid="no-runs">
          {isFiltered
            ? "No runs in this range and with these filters."
            : "No usage in this range belongs to a run: products send the conversation or workflow run as “run” of each usage event."}
        </p>
      ) : (
        <>
          <dl className={summary.figures}>
            <div>
              <dt>Runs</dt>
              <dd data-testid="runs-count">{format.count(page.runs)}</dd>
            </div>
            <div>
              <dt>Credits of runs</dt>
              <dd>
                <Hint plain label={format.exact(page.credits)}>
                  {format.column(page.credits)}
                </Hint>
              </dd>
            </div>
            <div>
              <dt>Uses</dt>
              <dd>{format.count(page.events)}</dd>
            </div>
          </dl>
          <div className={table.block}>
            <h3 className={classes.title}>Credits per run, by agent</h3>
            <AgentRuns agents={page.agents} notListed={page.agents_not_listed} />
          </div>
          <div className={table.block}>
            <h3 className={classes.title}>Runs with most credits</h3>
            <RunsTable rows={data?.pages.flatMap(({ rows }) => rows) ?? []} />
            {hasNextPage && (
              <Button
                variant="subtle"
                size="compact-sm"
                loading={isFetchingNextPage}
                onClick={() => void fetchNextPage()}
              >
                Show more
              </Button>
            )}
          </div>
        </>
      )}
    </>
  )
}

function RunsTable({ rows }: { rows: Schemas["RunRow"][] }) {
  const [, change] = useUrlState()
  const format = useFormat()
  const caption = "Runs with most credits"
  const who = rows.some(({ actor }) => actor) ? "Started by" : rows.some(({ group }) => group) ? "Group" : undefined
  return (
    <ScrollRegion className={table.scroll} label={caption}>
      <CellHints>
        <table className={table.table} data-testid="runs-table">
          <caption className="visually-hidden">{caption}</caption>
          <thead>
            <tr>
              <th scope="col">Run</th>
              <th scope="col">Credits</th>
              <th scope="col">Uses</th>
              {who && <th scope="col">{who}</th>}
              <th scope="col">Began</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((run) => (
              <tr key={run.key}>
                <th scope="row">
                  <UnstyledButton
                    className={classes.open}
                    onClick={() => change({ panel: "run", run: run.key, receipt: undefined }, "push")}
                  >
                    {run.agent?.name ?? "No agent"}
                    <span className={table.id}>{run.id}</span>
                  </UnstyledButton>
                </th>
                <td data-hint={format.exact(run.credits)}>{format.column(run.credits)}</td>
                <td>{format.count(run.events)}</td>
                {who && <td>{run.actor?.name ?? run.group?.name ?? "–"}</td>}
                <td>{format.moment(new Date(run.first_at))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </CellHints>
    </ScrollRegion>
  )
}
