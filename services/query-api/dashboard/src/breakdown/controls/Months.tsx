import "@mantine/dates/styles.css"
import { MonthPicker } from "@mantine/dates"
import { useState } from "react"
import type { Schemas } from "../../api/client"
import { monthOf } from "../../format/dates"
import { useFormat } from "../../format/useFormat"

interface Props {
  range: Schemas["DateRange"] | undefined
  last: string
  choose: (from: string, to: string) => void
}

/** Picks a range of months. Loaded lazily as a separate chunk. */
export default function Months({ range, last, choose }: Props) {
  const format = useFormat()
  const [months, setMonths] = useState<[string | null, string | null]>(
    range ? [`${monthOf(range.from)}-01`, `${monthOf(range.to)}-01`] : [null, null],
  )
  return (
    <MonthPicker
      type="range"
      size="sm"
      allowSingleDateInRange
      maxDate={`${last}-01`}
      defaultDate={`${last}-01`}
      value={months}
      onChange={([from, to]) => {
        setMonths([from, to])
        if (from && to) choose(monthOf(from), monthOf(to))
      }}
      ariaLabels={{ previousYear: "Previous year", nextYear: "Next year" }}
      getMonthControlProps={(month) => ({
        "aria-label": undefined,
        children: (
          <span>
            {format.monthName(month)}
            <span className="visually-hidden"> {month.slice(0, 4)}</span>
          </span>
        ),
      })}
    />
  )
}
