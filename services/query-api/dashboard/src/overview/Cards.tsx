import type { ReactNode } from "react"
import type { Schemas } from "../api/client"
import { isZero } from "../credits"
import { addDays, countDays, todayIn } from "../dates"
import { useFormat } from "../shell/useFormat"
import classes from "./Overview.module.css"
import { lengthOf, paceOf } from "./standing"

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
  const { credits_used, credits_available, percent_used, credit_period } = overview
  const over = !isZero(overview.overage)
  return (
    <Card
      label="Credits used"
      value={format.credits(credits_used)}
      exact={format.exact(credits_used)}
      testId="credits-used"
      beside={percent_used !== null && <span data-over={over}>{format.percent(percent_used)}</span>}
    >
      {credits_available !== null ? (
        <>
          <div className={classes.meter} aria-hidden="true">
            <Fill of={credits_used} whole={credits_available} over={over} />
          </div>
          <p>
            of {format.credits(credits_available)} available
            {credit_period && `, ${format.days(credit_period.from, addDays(credit_period.to, -1))}`}
          </p>
        </>
      ) : (
        <p>No credits are contracted for today, so all usage is overage.</p>
      )}
    </Card>
  )
}

function Fill({ of, whole, over }: { of: string; whole: string; over: boolean }) {
  return <span data-over={over} style={{ width: `${lengthOf(of, whole) * 100}%` }} />
}

function Remaining({ overview }: { overview: Overview }) {
  const format = useFormat()
  const { remaining, overage, credit_period, account_team } = overview
  if (!isZero(overage)) {
    return (
      <Card label="Overage" value={format.credits(overage)} exact={format.exact(overage)} tone="bad">
        <p>
          used beyond what is available.{" "}
          {account_team ? <Team team={account_team} /> : "Your account team can tell what it costs."}
        </p>
      </Card>
    )
  }
  if (remaining === null || credit_period === null) {
    return (
      <Card label="Remaining" value="–">
        <p>There is no credit period for today.</p>
      </Card>
    )
  }
  const last = addDays(credit_period.to, -1)
  const days = countDays(todayIn(format.timeZone), last)
  return (
    <Card label="Remaining" value={format.credits(remaining)} exact={format.exact(remaining)}>
      <p>
        until {format.day(last)}: {format.count(days)} {days === 1 ? "day" : "days"} left, then they expire
      </p>
    </Card>
  )
}

function InContract({ overview }: { overview: Overview }) {
  const format = useFormat()
  const { contract_period_used, contract_period } = overview
  return (
    <Card
      label="Total used in contract period"
      value={contract_period_used === null ? "–" : format.credits(contract_period_used)}
      exact={contract_period_used === null ? undefined : format.exact(contract_period_used)}
    >
      <p>
        {contract_period
          ? format.days(contract_period.from, addDays(contract_period.to, -1))
          : "There is no contract for today."}
      </p>
    </Card>
  )
}

function PaceCard({ overview }: { overview: Overview }) {
  const format = useFormat()
  const pace = paceOf(overview)
  const budget = overview.recommended_monthly_budget
  if (!pace || overview.period_elapsed === null) {
    return (
      <Card label="Pace" value="–">
        <p>There is nothing to compare usage with.</p>
      </Card>
    )
  }
  return (
    <Card
      label="Pace"
      value={pace.is === "even" ? "Even" : format.credits(pace.apart)}
      exact={format.exact(pace.apart)}
      beside={
        pace.is !== "even" && <small>{pace.is === "behind" ? "behind an even pace" : "ahead of an even pace"}</small>
      }
    >
      <p>
        {format.share(overview.period_elapsed)} of the period is over.
        {budget && !isZero(budget.credits) && ` ${format.credits(budget.credits)} credits a month make the rest last.`}
      </p>
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
        <strong title={exact} data-testid={testId}>
          {value}
        </strong>
        {beside}
      </div>
      {children}
    </section>
  )
}

export function Team({ team }: { team: Schemas["AccountTeam"] }) {
  const words = team.name ?? "your account team"
  const href = team.email ? `mailto:${team.email}` : team.url
  return <>Ask {href ? <a href={href}>{words}</a> : words}, your account team.</>
}
