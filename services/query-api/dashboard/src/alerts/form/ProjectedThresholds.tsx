import { Button } from "@mantine/core"
import type { Schemas } from "../../api/client"
import { threshold } from "../../format/format"
import { useFormat } from "../../format/useFormat"
import classes from "../Manage.module.css"
import { Thresholds } from "./Thresholds"

interface ProjectedThresholdsProps {
  /** What ends: "credit period" or "month". */
  period: string
  chosen: number[]
  projection: Schemas["RuleProjection"] | null
  mistake: string | undefined
  choose: (thresholds: number[]) => void
}

const RECOMMENDED = 100

/** Thresholds of projected use, off by default, with the dates of the last projection or why there is none. */
export function ProjectedThresholds({ period, chosen, projection, mistake, choose }: ProjectedThresholdsProps) {
  if (chosen.length === 0) {
    return (
      <p className={classes.quiet}>
        Alerts on projected usage are off.{" "}
        <Button variant="subtle" size="compact-xs" onClick={() => choose([RECOMMENDED])}>
          Alert when usage is projected to pass {threshold(RECOMMENDED)}
        </Button>
      </p>
    )
  }
  return (
    <div>
      <Thresholds
        label="Projected thresholds"
        of={`usage will pass them before the ${period} ends`}
        chosen={chosen}
        mistake={mistake}
        choose={choose}
      />
      <Outlook projection={projection} />
    </div>
  )
}

function Outlook({ projection }: { projection: Schemas["RuleProjection"] | null }) {
  const format = useFormat()
  if (projection === null) {
    return <p className={classes.quiet}>Projected once a day; the first time shortly after you save.</p>
  }
  if (projection.refusal !== null) {
    return <p className={classes.quiet}>Not projected now, so nothing changes: {projection.refusal}</p>
  }
  return (
    <>
      {projection.thresholds.map(({ threshold: percent, p50, p10, p90 }) => (
        <p key={percent} className={classes.quiet}>
          {threshold(percent)}: {passedWords({ p10, p50, p90 }, format.day)}
        </p>
      ))}
    </>
  )
}

/** When a threshold is projected to be passed, in words. */
export function passedWords({ p10, p50, p90 }: Schemas["ProjectedPass"], day: (day: string) => string): string {
  if (p50 === null)
    return p10 === null ? "not projected to be passed" : `probably not passed, at the earliest on ${day(p10)}`
  if (p10 === null || p10 === p90) return `projected for ${day(p50)}`
  const range = p90 === null ? `at the earliest on ${day(p10)}` : `8 of 10 times between ${day(p10)} and ${day(p90)}`
  return `projected around ${day(p50)}, ${range}`
}
