import { UnstyledButton } from "@mantine/core"
import { IconGitBranch } from "@tabler/icons-react"
import { lazy, Suspense } from "react"
import type { Schemas } from "../api/client"
import { isZero } from "../format/credits"
import { useFormat } from "../format/useFormat"
import { useUrlState } from "../url/useUrlState"
import { offsetText, type Step, stepsOf } from "./bars"
import { OpenRun } from "./OpenRun"
import classes from "./Runs.module.css"

interface Props {
  run: Schemas["Run"]
  /** Of all pages so far. */
  uses: Schemas["RunUse"][]
}

/** The uses in the order of their times; each bar begins where the one before it ends, so the last one ends at the total. */
export function Waterfall({ run, uses }: Props) {
  return (
    <ol className={classes.waterfall} aria-label="Uses of the run" data-testid="waterfall">
      {stepsOf(uses, run.children, run.credits).map((step) =>
        step.is === "use" ? (
          <Use key={step.use.receipt} step={step} agent={run.agent?.id} />
        ) : (
          <Child key={step.child.key} child={step.child} />
        ),
      )}
    </ol>
  )
}

const Receipt = lazy(() => import("./Receipt"))

function Use({ step, agent }: { step: Step & { is: "use" }; agent: string | undefined }) {
  const [url, change] = useUrlState()
  const format = useFormat()
  const { use, credits, start, width } = step
  const isOpen = url.receipt === use.receipt
  return (
    <li data-kind={use.feature_kind}>
      <UnstyledButton
        className={classes.step}
        aria-expanded={isOpen}
        onClick={() => change({ receipt: isOpen ? undefined : use.receipt })}
      >
        <small>{offsetText(use.offset_ms)}</small>
        <span>
          {use.feature_name}
          {use.agent && use.agent.id !== agent && <small> by {use.agent.name}</small>}
        </span>
        <strong>{credits === null ? "Held" : format.credits(credits)}</strong>
        <span className={classes.track} aria-hidden="true">
          <span style={{ marginInlineStart: `${start * 100}%`, width: `max(2px, ${width * 100}%)` }} />
        </span>
        {!isZero(use.corrections) && <small>Corrected by {format.credits(use.corrections)}</small>}
      </UnstyledButton>
      {isOpen && (
        <Suspense fallback={null}>
          <Receipt id={use.receipt} />
        </Suspense>
      )}
    </li>
  )
}

function Child({ child }: { child: Schemas["RunLink"] }) {
  const format = useFormat()
  return (
    <li>
      <OpenRun link={child}>
        <IconGitBranch size={15} stroke={1.8} aria-hidden="true" />
        Started run {child.id}
        {child.credits !== null && `: ${format.credits(child.credits)} more credits`}
      </OpenRun>
    </li>
  )
}
