import { Button, Group } from "@mantine/core"
import { IconUsers } from "@tabler/icons-react"
import { threshold } from "../../format/format"
import { useFormat } from "../../format/useFormat"
import { type Draft, differences, draftOf, type Field, type Settings } from "../draft/draft"
import classes from "../Manage.module.css"

const NAMES: Record<Field, string> = {
  usageThresholds: "Usage thresholds",
  usageProjected: "Usage: projected thresholds",
  usageRecipientsOn: "Usage: additional recipients",
  usageAddresses: "Usage: addresses",
  budgetOn: "Monthly budget",
  budgetType: "Budget type",
  budgetCredits: "Monthly credit budget",
  budgetThresholds: "Budget thresholds",
  budgetProjected: "Budget: projected thresholds",
  budgetRecipientsOn: "Budget: additional recipients",
  budgetAddresses: "Budget: addresses",
}

interface ConflictProps {
  mine: Draft
  theirs: Settings
  keepMine: () => void
  takeTheirs: () => void
}

/** Another admin saved while this form had changes: shows who, when and the differences, and lets the user choose. */
export function Conflict({ mine, theirs, keepMine, takeTheirs }: ConflictProps) {
  const format = useFormat()
  const who = theirs.updated_by ?? "Another admin"
  const when = theirs.updated_at ? `, ${format.moment(new Date(theirs.updated_at))}` : ""
  const saved = draftOf(theirs)
  const fields = differences(mine, saved)
  return (
    <section className={classes.conflict} role="alert">
      <h3>
        <IconUsers size={20} stroke={1.6} aria-hidden="true" />
        {who} saved changes while you were editing{when}
      </h3>
      {fields.length === 0 ? (
        <p>Your changes are the same as theirs.</p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">Setting</th>
              <th scope="col">Yours</th>
              <th scope="col">Theirs</th>
            </tr>
          </thead>
          <tbody>
            {fields.map((field) => (
              <tr key={field}>
                <th scope="row">{NAMES[field]}</th>
                <td>{shown(mine, field, format.exact)}</td>
                <td>{shown(saved, field, format.exact)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <Group gap="xs">
        <Button size="xs" onClick={keepMine}>
          Keep mine
        </Button>
        <Button size="xs" variant="default" onClick={takeTheirs}>
          Take theirs
        </Button>
      </Group>
      <p className={classes.quiet}>“Keep mine” keeps your edits; you still need to save.</p>
    </section>
  )
}

function shown(draft: Draft, field: Field, exact: (credits: string) => string): string {
  const value = draft[field]
  if (field === "budgetCredits") return draft.budgetOn && draft.budgetCredits ? exact(draft.budgetCredits) : "None"
  if (field === "budgetType") return value === "one_time" ? "One-time" : "Recurring"
  if (Array.isArray(value)) {
    return value.map((one) => (typeof one === "number" ? threshold(one) : one)).join(", ") || "None"
  }
  return value ? "On" : "Off"
}
