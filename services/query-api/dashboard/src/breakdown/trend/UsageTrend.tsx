import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { lazy, Suspense, useMemo } from "react"
import { settingsQuery } from "../../alerts/queries"
import type { Schemas } from "../../api/client"
import { overviewQuery } from "../../api/queries"
import { budgetIn } from "../../charts/budget"
import { type Bucket, columnsOf, type Guide } from "../../charts/shape"
import { TrendTable } from "../../charts/TrendTable"
import { isZero } from "../../format/credits"
import { addDays } from "../../format/dates"
import { useFormat } from "../../format/useFormat"
import { projectionGuides } from "../../projection/guides"
import { projectionQuery } from "../../projection/queries"
import { Failure } from "../../ui/Failure"
import { writeDays } from "../../url/days"
import { NO_RANGE, useUrlState } from "../../url/useUrlState"
import { trendQuery } from "../queries"
import { Legend } from "./Legend"
import { TrendControls } from "./TrendControls"
import { bucketNames, budgetGuide, linesOf, paceGuide, rangeIn } from "./trend"
import classes from "./UsageTrend.module.css"

const INTERVAL_NAMES = { "15m": "quarter-hour", hour: "hour", day: "day", week: "week", month: "month" } as const

const TrendChart = lazy(() => import("../../charts/TrendChart"))

/** Usage over time: of the shown view, or of all products against the monthly budget. */
export function UsageTrend() {
  const [url] = useUrlState()
  const { data, error, refetch, isPlaceholderData } = useQuery(trendQuery(url))
  const format = useFormat()
  return (
    <section className={classes.trend} aria-labelledby="trend-title" data-stale={isPlaceholderData}>
      <header className={classes.header}>
        <h3 id="trend-title">
          Credits over time
          {data && (data.interval === "hour" || data.interval === "15m") && (
            <small> · times in {format.timeZone}</small>
          )}
        </h3>
        <TrendControls trend={data} />
      </header>
      {data ? <Drawn trend={data} /> : error ? <Failure error={error} retry={refetch} /> : <Skeleton height={296} />}
    </section>
  )
}

function Drawn({ trend }: { trend: Schemas["Trend"] }) {
  const [url, change] = useUrlState()
  const format = useFormat()
  const budget = useQuery({ ...settingsQuery, select: budgetIn }).data
  const overview = useQuery(overviewQuery).data
  const cumulative = url.sum === "cumulative"
  const isWhole = trend.product === null // of the drawn trend: the newly chosen one may still be loading
  const columns = useMemo(() => {
    const all = columnsOf(trend, cumulative)
    return cumulative ? all : all.filter(({ bucket }) => bucket.state !== "future")
  }, [trend, cumulative])

  const lines = useMemo(() => linesOf(trend), [trend])
  const { short, full } = useMemo(() => bucketNames(trend.interval, format), [trend.interval, format])
  const available = isWhole && cumulative && overview ? availableIn(overview, trend.range) : null
  const projected = useQuery({ ...projectionQuery, enabled: available !== null }).data
  const guides = useMemo(() => {
    const made: Guide[] = []
    if (isWhole && budget) made.push(budgetGuide(columns, trend.interval, budget, cumulative))
    if (available !== null) made.push(paceGuide(columns, trend.range, available))
    if (available !== null && projected) made.push(...projectionGuides(columns, projected))
    return made
  }, [columns, trend, isWhole, budget, cumulative, available, projected])

  const isByDay = trend.interval !== "hour" && trend.interval !== "15m"
  const explain = ({ days, state, start_at }: Bucket) => {
    if (!days) return
    // Of a column in progress, the API compares as many days as have begun.
    const before = columns[columns.findIndex(({ bucket }) => bucket.start_at === start_at) - 1]?.bucket.days
    const against = state === "complete" && before ? writeDays(before) : undefined
    change({ panel: "explain", explained: writeDays(days), against }, "push")
  }

  const label = `Credits by ${INTERVAL_NAMES[trend.interval]}, ${format.days(trend.range.from, trend.range.to)}`
  if (isZero(trend.total) && trend.series.length === 0) {
    return <p className={classes.nothing}>No usage in {format.days(trend.range.from, trend.range.to)}.</p>
  }
  if (url.chart === "table") {
    return (
      <TrendTable
        columns={columns}
        lines={lines}
        guides={guides}
        caption={label}
        full={full}
        format={format}
        explain={isByDay ? explain : undefined}
      />
    )
  }
  return (
    <>
      <Suspense fallback={<Skeleton height={264} />}>
        <TrendChart
          columns={columns}
          lines={lines}
          guides={guides}
          label={label}
          format={format}
          short={short}
          full={full}
          choose={
            isByDay
              ? ({ days }) => days && change({ ...NO_RANGE, ...rangeIn(days), interval: undefined }, "push")
              : undefined
          }
          explain={isByDay ? explain : undefined}
        />
      </Suspense>
      <Legend lines={lines} guides={guides} columns={columns} />
    </>
  )
}

/** Available credits, if the range is the current credit period. */
function availableIn(
  { credit_period, credits_available }: Schemas["Overview"],
  range: Schemas["DateRange"],
): string | null {
  if (credit_period === null) return null
  return credit_period.from === range.from && addDays(credit_period.to, -1) === range.to ? credits_available : null
}
