import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { overviewQuery } from "../api/queries"
import { useFormat } from "../format/useFormat"
import { Announcement } from "../ui/Announcement"
import { Failure } from "../ui/Failure"
import { Cards } from "./Cards"
import classes from "./Overview.module.css"
import { Products } from "./Products"
import { describeUsage } from "./pace"

/** Usage may change many times a second; screen readers announce it at this interval at most. */
const ANNOUNCE_AT_MOST_EVERY_MS = 30_000

export function Overview() {
  const { data, error, refetch } = useQuery(overviewQuery)
  const format = useFormat()
  return (
    <section aria-labelledby="overview-title" className={classes.overview} aria-busy={!data && !error}>
      <h2 id="overview-title" className="visually-hidden">
        Usage overview
      </h2>
      {data ? (
        <>
          <Cards overview={data} />
          <Products overview={data} />
          <Announcement words={describeUsage(data, format)} atMostEveryMs={ANNOUNCE_AT_MOST_EVERY_MS} />
        </>
      ) : error ? (
        <Failure error={error} retry={refetch} />
      ) : (
        <>
          <div className={classes.cards}>
            {["used", "remaining", "contract", "pace"].map((card) => (
              <Skeleton key={card} height={124} radius="md" />
            ))}
          </div>
          <Skeleton height={238} radius="md" />
        </>
      )}
    </section>
  )
}
