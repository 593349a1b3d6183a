import { UnstyledButton } from "@mantine/core"
import { IconChevronDown } from "@tabler/icons-react"
import { Fragment, useState } from "react"
import { isZero, toMicro } from "../format/credits"
import { useFormat } from "../format/useFormat"
import classes from "./Explain.module.css"
import {
  type Explanation,
  keyOfContributor,
  meaningOf,
  nameOf,
  nameOfPart,
  type Part,
  type PartKind,
  type Step,
  stepsOf,
} from "./parts"
import { useSigned } from "./useSigned"

/** The change as a table with a waterfall: each part begins where the one before it ends. A row opens its contributors. */
export function Waterfall({ explanation }: { explanation: Explanation }) {
  const { range, before_range } = explanation
  const format = useFormat()
  const [open, setOpen] = useState<PartKind | null>(null)
  const names = { before: format.days(before_range.from, before_range.to), now: format.days(range.from, range.to) }
  return (
    <table className={classes.waterfall} data-testid="explain-waterfall">
      <caption className="visually-hidden">
        Credits from {names.before} to {names.now}, by what changed
      </caption>
      <thead>
        <tr>
          <th scope="col">
            <span className="visually-hidden">What changed</span>
          </th>
          <td aria-hidden="true" />
          <th scope="col">
            <span className="visually-hidden">Credits</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {stepsOf(explanation).map((step) =>
          step.is === "total" ? (
            <tr key={step.which} className={classes.total}>
              <th scope="row">{names[step.which]}</th>
              <td aria-hidden="true">
                <Drawn step={step} />
              </td>
              <td>{format.credits(step.credits)}</td>
            </tr>
          ) : (
            <Fragment key={step.part.kind}>
              <PartRow
                step={step}
                isOpen={open === step.part.kind}
                toggle={() => setOpen(open === step.part.kind ? null : step.part.kind)}
              />
              {open === step.part.kind && <Contributors part={step.part} />}
            </Fragment>
          ),
        )}
      </tbody>
    </table>
  )
}

function PartRow({ step, isOpen, toggle }: { step: Step & { is: "part" }; isOpen: boolean; toggle: () => void }) {
  const signed = useSigned()
  return (
    <tr>
      <th scope="row">
        <UnstyledButton className={classes.part} aria-expanded={isOpen} onClick={toggle}>
          <IconChevronDown className={classes.chevron} data-open={isOpen} size={14} stroke={1.8} aria-hidden="true" />
          {nameOfPart(step.part)}
        </UnstyledButton>
      </th>
      <td aria-hidden="true">
        <Drawn step={step} />
      </td>
      <td>{signed(step.part.amount)}</td>
    </tr>
  )
}

function Drawn({ step }: { step: Step }) {
  if (step.is === "total") {
    return (
      <span className={classes.track}>
        <i className={classes.level} style={{ insetInlineStart: `${step.at * 100}%` }} />
      </span>
    )
  }
  const [start, end] = step.from < step.to ? [step.from, step.to] : [step.to, step.from]
  return (
    <span className={classes.track}>
      <i
        className={classes.bar}
        data-rises={toMicro(step.part.amount) > 0n}
        style={{ insetInlineStart: `${start * 100}%`, width: `max(2px, ${(end - start) * 100}%)` }}
      />
    </span>
  )
}

/** What `others` is: late uses are in the volume of their features and have a row of their own. */
function restOf({ kind, other_rows }: Part, count: (number: number) => string): string {
  if (other_rows > 0) return `${count(other_rows)} more`
  return kind === "volume" ? "Late data, in its own row" : "Others"
}

function Contributors({ part }: { part: Part }) {
  const format = useFormat()
  const signed = useSigned()
  return (
    <tr className={classes.inside}>
      <td colSpan={3}>
        <p>{meaningOf(part.kind)}</p>
        <ul aria-label={`${nameOfPart(part)}: largest contributors`}>
          {part.contributors.map((each) => (
            <li key={keyOfContributor(each)}>
              <span>{nameOf(each)}</span>
              <strong>{signed(each.amount)}</strong>
              <small>
                {format.count(each.uses_before)} → {format.count(each.uses)} uses, {format.credits(each.credits_before)}{" "}
                → {format.credits(each.credits)} credits
              </small>
            </li>
          ))}
          {!isZero(part.others) && (
            <li>
              <span>{restOf(part, format.count)}</span>
              <strong>{signed(part.others)}</strong>
            </li>
          )}
        </ul>
      </td>
    </tr>
  )
}
