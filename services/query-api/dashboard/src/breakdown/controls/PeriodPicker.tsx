import { Button, Popover, Skeleton, UnstyledButton } from "@mantine/core"
import { IconCalendar, IconChevronDown } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { lazy, Suspense, useState } from "react"
import type { Schemas } from "../../api/client"
import { creditPeriodsQuery } from "../../api/queries"
import { monthOf, todayIn } from "../../format/dates"
import { useFormat } from "../../format/useFormat"
import { type Range, rangeOf } from "../../url/urlState"
import { NO_RANGE, useUrlState } from "../../url/useUrlState"
import classes from "./PeriodPicker.module.css"
import { EARLIER, isSame, presetsOf } from "./ranges"

const Months = lazy(() => import("./Months"))

/** Picks the range: the current credit period, other presets, or a range of months. */
export function PeriodPicker({ range }: { range: Schemas["DateRange"] | undefined }) {
  const [url, change] = useUrlState()
  const [isOpen, setOpen] = useState(false)
  const format = useFormat()
  const { data } = useQuery(creditPeriodsQuery)
  const today = todayIn(format.timeZone)
  const periods = data?.credit_periods ?? []
  const current = periods.find(({ state }) => state === "current")?.key
  const presets = presetsOf(periods, today)
  const chosen = presets.find((preset) => isSame(preset.range, rangeOf(url), current))
  const choose = (days: Range) => {
    setOpen(false)
    change({ ...NO_RANGE, ...days, interval: undefined }, "push")
  }
  const dates = range ? format.days(range.from, range.to) : "Choose"
  const name = chosen && chosen.name !== EARLIER ? chosen.name : undefined
  return (
    <Popover opened={isOpen} onChange={setOpen} position="bottom-start" shadow="md" withinPortal trapFocus returnFocus>
      <Popover.Target>
        <Button
          variant="default"
          size="xs"
          className={classes.target}
          aria-keyshortcuts="p"
          leftSection={<IconCalendar size={15} stroke={1.6} aria-hidden="true" />}
          rightSection={<IconChevronDown size={14} stroke={1.6} aria-hidden="true" />}
          onClick={() => setOpen(!isOpen)}
        >
          <span className="visually-hidden">Credit period: </span>
          <span className={classes.dates}>{dates}</span>
          {name && <span className={classes.name}>{name}</span>}
        </Button>
      </Popover.Target>
      <Popover.Dropdown className={classes.dropdown} aria-label="Credit period">
        <ul className={classes.presets}>
          {presets.map((preset) => (
            <li key={`${preset.name} ${preset.days?.from}`}>
              <UnstyledButton
                className={classes.preset}
                aria-current={preset === chosen}
                onClick={() => choose(preset.range)}
              >
                {preset.name}
                {preset.days && <span>{format.days(preset.days.from, preset.days.to)}</span>}
              </UnstyledButton>
            </li>
          ))}
        </ul>
        <div className={classes.months}>
          <Suspense fallback={<Skeleton height={232} width={240} />}>
            <Months range={range} last={monthOf(today)} choose={(from, to) => choose({ from, to })} />
          </Suspense>
          <p>Pick a start and end month. Times are in {format.timeZone}.</p>
        </div>
      </Popover.Dropdown>
    </Popover>
  )
}
