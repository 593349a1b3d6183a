import { Button, Skeleton } from "@mantine/core"
import { IconArrowUp } from "@tabler/icons-react"
import { useInfiniteQuery } from "@tanstack/react-query"
import type { ReactNode } from "react"
import type { Schemas } from "../api/client"
import { useFormat } from "../format/useFormat"
import { keyName } from "../people/table/rows"
import { Failure } from "../ui/Failure"
import { sumByKind } from "./bars"
import { OpenRun } from "./OpenRun"
import { runQuery } from "./queries"
import classes from "./Runs.module.css"
import { Waterfall } from "./Waterfall"

/** Who started a run, and its uses as a waterfall of credits. */
export default function RunView({ id }: { id: string }) {
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(runQuery(id))
  const format = useFormat()
  const run = data?.pages.at(-1)
  if (!run) return error ? <Failure error={error} retry={() => void refetch()} /> : <Skeleton height={420} />
  const uses = data?.pages.flatMap((page) => page.uses) ?? []
  return (
    <div className={classes.run}>
      <Details run={run} />
      {run.parent && (
        <OpenRun link={run.parent}>
          <IconArrowUp size={15} stroke={1.8} aria-hidden="true" />
          Started by run {run.parent.id}
        </OpenRun>
      )}
      <ul className={classes.kinds} aria-label="Credits by kind">
        {sumByKind(uses).map(([kind, credits]) => (
          <li key={kind} data-kind={kind}>
            {KINDS[kind]} <strong>{format.credits(credits)}</strong>
          </li>
        ))}
      </ul>
      <Waterfall uses={uses} run={run} />
      {hasNextPage && (
        <Button variant="default" size="xs" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          Show {format.count(run.rest.events)} more uses
        </Button>
      )}
    </div>
  )
}

const KINDS = { model: "Models", tool: "Tools", feature: "Features", namespace: "APIs" } as const

function Details({ run }: { run: Schemas["Run"] }) {
  const format = useFormat()
  return (
    <dl className={classes.details}>
      <Detail name="Agent">{run.agent?.name ?? "No agent"}</Detail>
      <Detail name="Credits">{format.credits(run.credits)}</Detail>
      <Detail name="Uses">{format.count(run.events)}</Detail>
      {run.actor && <Detail name="Started by">{run.actor.name}</Detail>}
      {run.group && <Detail name="Group">{run.group.name}</Detail>}
      {Object.entries(run.labels).map(([key, value]) => (
        <Detail key={key} name={keyName(key)}>
          {value || "Other"}
        </Detail>
      ))}
      <Detail name="Time">{format.times(new Date(run.first_at), new Date(run.last_at))}</Detail>
      <Detail name="Id">
        <code>{run.id}</code>
      </Detail>
    </dl>
  )
}

function Detail({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
