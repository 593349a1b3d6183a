import { useQuery } from "@tanstack/react-query"
import type { ReactNode } from "react"
import type { Schemas } from "../api/client"
import { isZero } from "../format/credits"
import { addDays, countDays, hasEnd, todayIn } from "../format/dates"
import { useFormat } from "../format/useFormat"
import { projectionQuery } from "../projection/queries"
import { runOutWords } from "../projection/words"
import { Hint } from "../ui/Hint"
import classes from "./Overview.module.css"
import { lengthOf, paceOf } from "./pace"

type Overview = Schemas["Overview"]

export function Cards({ overview }: { overview: Overview }) {
  return (
    <div className={classes.cards}>
      <Used overview={overview} />
      <Remaining overview={overview} />
      <InContract overview={overview} />
      <PaceCard overview={overview} />
    </div>
  )
}

function Used({ overview }: { overview: Overview }) {
  const format = useFormat()
  const { credits_used, credits_available, credit_period } = overview
  const over = !isZero(overview.overage)
  const level = credits_available !== null ? format.level(credits_used, credits_available) : undefined
  return (
    <Card
      label="Credits used"
      value={level?.used ?? format.credits(credits_used)}
      exact={format.exact(credits_used)}
      testId="credits-used"
      beside={level?.percent && <span>{level.percent}</span>}
    >
      {credits_available !== null ? (
        <>
          <div className={classes.meter} aria-hidden="true">
            <Fill of={credits_used} whole={credits_available} over={over} />
          </div>
          <p>
            of {level?.available} available
            {credit_period && ` · ${format.days(credit_period.from, addDays(credit_period.to, -1))}`}
          </p>
        </>
      ) : (
        <p>{over ? "No active credit period: usage counts as overage" : "No active contract"}</p>
      )}
    </Card>
  )
}

function Fill({ of, whole, over }: { of: string; whole: string; over: boolean }) {
  return <span data-over={over} style={{ width: `${lengthOf(of, whole) * 100}%` }} />
}

function Remaining({ overview }: { overview: Overview }) {
  const format = useFormat()
  const { remaining, overage, credit_period, account_team, credits_used, credits_available } = overview
  const level = format.level(credits_used, credits_available ?? "0")
  if (!isZero(overage)) {
    return (
      <Card label="Overage" value={level.over ?? format.credits(overage)} exact={format.exact(overage)} tone="bad">
        <p>
          Over your available credits. Questions? Contact <Team team={account_team} />.
        </p>
      </Card>
    )
  }
  if (remaining === null || credit_period === null) {
    return (
      <Card label="Remaining" value="–">
        <p>No active credit period</p>
      </Card>
    )
  }
  if (!hasEnd(credit_period.to)) {
    return (
      <Card label="Remaining" value={format.credits(remaining)} exact={format.exact(remaining)}>
        <p>The credit period has no end.</p>
      </Card>
    )
  }
  const last = addDays(credit_period.to, -1)
  const days = countDays(todayIn(format.timeZone), last)
  return (
    <Card label="Remaining" value={level.left ?? format.credits(remaining)} exact={format.exact(remaining)}>
      <p>
        Expires {format.day(last)} ({format.count(days)} {days === 1 ? "day" : "days"} left)
      </p>
    </Card>
  )
}

function InContract({ overview }: { overview: Overview }) {
  const format = useFormat()
  const { contract_period_used, contract_period } = overview
  return (
    <Card
      label="Used in contract period"
      value={contract_period_used === null ? "–" : format.credits(contract_period_used)}
      exact={contract_period_used === null ? undefined : format.exact(contract_period_used)}
    >
      <p>
        {contract_period ? format.days(contract_period.from, addDays(contract_period.to, -1)) : "No active contract"}
      </p>
    </Card>
  )
}

function PaceCard({ overview }: { overview: Overview }) {
  const format = useFormat()
  const pace = paceOf(overview)
  const projected = useQuery({ ...projectionQuery, enabled: pace !== null }).data
  const budget = overview.recommended_monthly_budget
  if (!pace || overview.period_elapsed === null) {
    return (
      <Card label="Pace" value="–">
        <p>Available once a credit period is active</p>
      </Card>
    )
  }
  return (
    <Card
      label="Pace"
      value={pace.is === "even" ? "On pace" : format.credits(pace.apart)}
      exact={format.exact(pace.apart)}
      beside={pace.is !== "even" && <small>credits {pace.is === "behind" ? "below pace" : "ahead of pace"}</small>}
    >
      <p>
        {format.share(overview.period_elapsed)} of the period has passed.
        {budget && !isZero(budget.credits) && ` To make it last, stay under ${format.credits(budget.credits)} a month.`}
      </p>
      {projected && <p data-testid="run-out">{runOutWords(projected, format).join(" ")}</p>}
    </Card>
  )
}

interface CardProps {
  label: string
  value: string
  exact?: string | undefined
  beside?: ReactNode
  tone?: "bad"
  testId?: string
  children?: ReactNode
}

function Card({ label, value, exact, beside, tone, testId, children }: CardProps) {
  return (
    <section className={classes.card} data-tone={tone}>
      <h3>{label}</h3>
      <div className={classes.figure}>
        <strong>
          {exact ? (
            <Hint plain label={exact} testId={testId}>
              {value}
            </Hint>
          ) : (
            value
          )}
        </strong>
        {beside}
      </div>
      {children}
    </section>
  )
}

/** A link to the account team of the contract. */
function Team({ team }: { team: Schemas["AccountTeam"] | null }) {
  const name = team?.name ?? "your account manager"
  const href = team?.email ? `mailto:${team.email}` : team?.url
  return href ? <a href={href}>{name}</a> : name
}
