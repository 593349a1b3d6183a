import { requestOf } from "../draft/draft"
import type { SectionProps } from "../draft/section"
import classes from "../Manage.module.css"
import { Preview } from "./Preview"
import { ProjectedThresholds } from "./ProjectedThresholds"
import { Recipients } from "./Recipients"
import { TestMail } from "./TestMail"
import { Thresholds } from "./Thresholds"

export function UsageAlerts({ draft, settings, mistakes, isComplete, change }: SectionProps) {
  return (
    <section className={classes.section} aria-labelledby="usage-alerts">
      <div>
        <div className={classes.heading}>
          <h3 id="usage-alerts">Set usage alerts</h3>
          <span className={classes.by}>Banner and email</span>
        </div>
        <p className={classes.quiet}>
          When usage reaches a threshold, the dashboard shows a banner and an email goes to Super Admins, Admins, and
          Billing Moderators.
        </p>
      </div>
      <Thresholds
        label="Alert thresholds"
        of="of the credit period's available credits"
        chosen={draft.usageThresholds}
        mistake={mistakes.usageThresholds}
        choose={(usageThresholds) => change({ usageThresholds })}
      />
      {draft.usageThresholds.length === 0 && (
        <p className={classes.quiet}>No thresholds selected, so no banner and no email about usage so far.</p>
      )}
      <ProjectedThresholds
        period="credit period"
        chosen={draft.usageProjected}
        projection={settings.projections.usage}
        mistake={mistakes.usageProjected}
        choose={(usageProjected) => change({ usageProjected })}
      />
      <Recipients
        isOn={draft.usageRecipientsOn}
        addresses={draft.usageAddresses}
        roleRecipients={settings.role_recipients}
        mistake={mistakes.usageAddresses}
        turn={(usageRecipientsOn) => change({ usageRecipientsOn })}
        enter={(usageAddresses) => change({ usageAddresses })}
      />
      {draft.usageThresholds.length > 0 && isComplete && (
        <Preview part="usage" request={{ usage: requestOf(draft).usage }} />
      )}
      <TestMail rule="usage" />
    </section>
  )
}
