import { ActionIcon, SegmentedControl, Switch, Tooltip } from "@mantine/core"
import { IconChartBar, IconTable } from "@tabler/icons-react"
import type { Schemas } from "../../api/client"
import { isOfSome, type UrlState } from "../../url/urlState"
import { useUrlState } from "../../url/useUrlState"
import { type Interval, intervalsOf } from "./trend"
import classes from "./UsageTrend.module.css"

const INTERVALS = { "15m": "15 min", hour: "Hour", day: "Day", week: "Week", month: "Month" }

export function TrendControls({ trend }: { trend: Schemas["Trend"] | undefined }) {
  const [url, change] = useUrlState()
  const shown = trend?.interval ?? url.interval
  const intervals: Interval[] = trend ? intervalsOf(trend.range, isOfSome(url)) : ["day"] // hours may have been refused
  if (shown && !intervals.includes(shown)) intervals.unshift(shown)
  const isTable = url.chart === "table"
  const other = isTable ? "View as chart" : "View as table"
  return (
    <div className={classes.controls}>
      <SegmentedControl
        aria-label="Usage of"
        size="xs"
        value={url.scope ?? "view"}
        onChange={(value) => change({ scope: value === "all" ? "all" : undefined })}
        data={[
          { value: "view", label: "This view" },
          { value: "all", label: "All products" },
        ]}
      />
      {shown && intervals.length > 1 && (
        <SegmentedControl
          aria-label="Interval"
          size="xs"
          value={shown}
          onChange={(value) => change({ interval: value as NonNullable<UrlState["interval"]> })}
          data={intervals.map((interval) => ({ value: interval, label: INTERVALS[interval] }))}
        />
      )}
      <Switch
        size="xs"
        label="Cumulative"
        checked={url.sum === "cumulative"}
        onChange={(event) => change({ sum: event.currentTarget.checked ? "cumulative" : undefined })}
      />
      <Tooltip label={other}>
        <ActionIcon
          variant="default"
          size={30}
          aria-label={other}
          aria-keyshortcuts="t"
          onClick={() => change({ chart: isTable ? undefined : "table" })}
        >
          {isTable ? <IconChartBar size={16} stroke={1.6} /> : <IconTable size={16} stroke={1.6} />}
        </ActionIcon>
      </Tooltip>
    </div>
  )
}
