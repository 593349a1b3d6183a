import { SegmentedControl, Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import type { Schemas } from "../api/client"
import { sessionQuery } from "../api/queries"
import { isZero } from "../format/credits"
import { useFormat } from "../format/useFormat"
import { Failure } from "../ui/Failure"
import { useUrlState } from "../url/useUrlState"
import type { Driven } from "../who/driven"
import classes from "./People.module.css"
import { driversQuery } from "./queries"
import { explain } from "./table/rows"

export default function DriversList({ driven }: { driven: Driven }) {
  const [url] = useUrlState()
  const format = useFormat()
  const showsPeople = useQuery(sessionQuery).data?.people !== "groups_only"
  const [chosen, setChosen] = useState<"person" | "group">("person")
  const by = showsPeople ? chosen : "group"
  const { data, error, refetch } = useQuery(driversQuery(url, driven, by))
  if (!data) return error ? <Failure error={error} retry={() => void refetch()} /> : <Skeleton height={320} />
  return (
    <div className={classes.drivers}>
      <p>
        {format.days(data.range.from, data.range.to)}: {format.credits(data.total)} credits
        {data.people > 0 && ` by ${format.count(data.people)} ${data.people === 1 ? "person" : "people"}`}
      </p>
      {showsPeople && (
        <SegmentedControl
          aria-label="View by"
          size="xs"
          value={by}
          onChange={(value) => setChosen(value as "person" | "group")}
          data={[
            { value: "person", label: "People" },
            { value: "group", label: "Groups" },
          ]}
        />
      )}
      <ol className={classes.ranking} data-testid="drivers">
        {data.rows.map((row) => (
          <Driver key={`${row.kind}:${row.id}`} row={row} />
        ))}
        {!isZero(data.others) && (
          <li>
            <span>{format.count(data.other_rows)} more</span>
            <strong>{format.credits(data.others)}</strong>
          </li>
        )}
        {data.pinned.map((row) => (
          <Driver key={row.kind} row={row} explained={explain(row.kind, by)} />
        ))}
      </ol>
    </div>
  )
}

function Driver({ row, explained }: { row: Schemas["PeopleTableRow"]; explained?: string | undefined }) {
  const format = useFormat()
  return (
    <li>
      <span>{row.name}</span>
      <strong>{format.credits(row.credits)}</strong>
      <span className={classes.bar} aria-hidden="true">
        <i style={{ width: `${Math.max(0, Math.min(1, Number(row.share))) * 100}%` }} />
      </span>
      <small>{format.share(row.share)}</small>
      {explained && <small className={classes.explained}>{explained}</small>}
    </li>
  )
}
