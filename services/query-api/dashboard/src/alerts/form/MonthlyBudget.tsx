import { Button, Group, NumberInput, Radio, Switch } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useFormat } from "../../format/useFormat"
import { projectionQuery } from "../../projection/queries"
import { requestOf, wholeOf } from "../draft/draft"
import type { SectionProps } from "../draft/section"
import classes from "../Manage.module.css"
import { Preview } from "./Preview"
import { ProjectedThresholds } from "./ProjectedThresholds"
import { Recipients } from "./Recipients"
import { TestMail } from "./TestMail"
import { Thresholds } from "./Thresholds"

export function MonthlyBudget(props: SectionProps) {
  const { draft, settings, mistakes, isComplete, change } = props
  return (
    <section className={classes.section} aria-labelledby="monthly-budget">
      <div>
        <div className={classes.heading}>
          <h3 id="monthly-budget">Set a monthly budget alert</h3>
          <span className={classes.by}>Email</span>
        </div>
        <p className={classes.quiet}>
          A monthly budget helps you pace usage: you’re notified as usage approaches it. It’s a reference point for
          alerts, not a hard limit.
        </p>
      </div>
      <Switch
        label="Monthly budget and alerts"
        checked={draft.budgetOn}
        onChange={({ currentTarget }) => change({ budgetOn: currentTarget.checked })}
      />
      {draft.budgetOn && (
        <>
          <BudgetType {...props} />
          <Amount {...props} />
          <Thresholds
            label="Alert threshold"
            of="of the monthly budget"
            chosen={draft.budgetThresholds}
            mistake={mistakes.budgetThresholds}
            choose={(budgetThresholds) => change({ budgetThresholds })}
          />
          <ProjectedThresholds
            period="month"
            chosen={draft.budgetProjected}
            projection={settings.projections.monthly_budget}
            mistake={mistakes.budgetProjected}
            choose={(budgetProjected) => change({ budgetProjected })}
          />
          <Recipients
            isOn={draft.budgetRecipientsOn}
            addresses={draft.budgetAddresses}
            roleRecipients={settings.role_recipients}
            mistake={mistakes.budgetAddresses}
            turn={(budgetRecipientsOn) => change({ budgetRecipientsOn })}
            enter={(budgetAddresses) => change({ budgetAddresses })}
          />
          {isComplete && (
            <Preview part="monthly_budget" request={{ monthly_budget: requestOf(draft).monthly_budget }} />
          )}
          <TestMail rule="monthly_budget" />
        </>
      )}
    </section>
  )
}

function BudgetType({ draft, settings, change }: SectionProps) {
  const format = useFormat()
  const { type, month, resumes } = settings.monthly_budget
  const thisMonth = month ? format.month(month) : "the current month"
  return (
    <Radio.Group
      label="Budget type"
      value={draft.budgetType}
      onChange={(budgetType) => change({ budgetType: budgetType as typeof draft.budgetType })}
    >
      <div className={classes.choice}>
        <Radio value="recurring" label="Recurring" description="This month and future months" />
        <Radio value="one_time" label="One-time" description="This month only" />
      </div>
      {draft.budgetType === "one_time" && type === "one_time" && resumes !== null && (
        <p className={classes.quiet}>
          After {thisMonth}, the recurring budget of {format.credits(resumes)} credits applies again.
        </p>
      )}
      {draft.budgetType === "one_time" && type === "recurring" && settings.monthly_budget.credits !== null && (
        <p className={classes.quiet}>
          Next month, the recurring budget of {format.credits(settings.monthly_budget.credits)} credits applies again.
        </p>
      )}
    </Radio.Group>
  )
}

function Amount({ draft, settings, mistakes, change }: SectionProps) {
  const format = useFormat()
  const recommended = settings.recommended_monthly_budget
  const { used_this_month } = settings.monthly_budget
  const advised = recommended && wholeOf(recommended.credits)
  const path = useQuery(projectionQuery).data?.glide_path
  const planned = path?.monthly_budget && wholeOf(path.monthly_budget)
  return (
    <div>
      <Group align="flex-end" gap="sm">
        <NumberInput
          label="Monthly credit budget"
          value={draft.budgetCredits}
          onValueChange={({ value }) => change({ budgetCredits: value })}
          valueIsNumericString
          thousandSeparator=","
          decimalSeparator="."
          decimalScale={6}
          allowNegative={false}
          hideControls
          inputMode="decimal"
          error={mistakes.budgetCredits}
          rightSection="credits"
          rightSectionWidth={64}
          rightSectionPointerEvents="none"
          flex="1 1 12rem"
        />
        {advised && (
          <Button
            variant="default"
            mb={mistakes.budgetCredits ? 25 : 0}
            disabled={draft.budgetCredits === advised}
            onClick={() => change({ budgetCredits: advised })}
          >
            Use recommended {format.exact(advised)}
          </Button>
        )}
      </Group>
      {recommended && (
        <p className={classes.quiet}>
          Recommended: remaining credits ÷ months left in the credit period, including this one (
          {format.credits(recommended.remaining_credits)} ÷ {recommended.remaining_months}).
        </p>
      )}
      {path && planned && planned !== advised && (
        <p className={classes.quiet}>
          Planned by days: {format.credits(path.per_day)} credits a day for {format.count(path.remaining_days)} days;
          with what was used this month, {format.credits(planned)}.{" "}
          <Button
            variant="subtle"
            size="compact-xs"
            disabled={draft.budgetCredits === planned}
            onClick={() => change({ budgetCredits: planned })}
          >
            Use {format.exact(planned)}
          </Button>
        </p>
      )}
      <p className={classes.quiet}>Used this month: {format.credits(used_this_month)} credits.</p>
    </div>
  )
}
