import { Button } from "@mantine/core"
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query"
import { useRef, useState } from "react"
import { Refusal } from "../../api/client"
import { bannerQuery } from "../../api/queries"
import { useFormat } from "../../format/useFormat"
import { Failure } from "../../ui/Failure"
import { PanelSkeleton } from "../../ui/PanelSkeleton"
import {
  type Draft,
  differences,
  draftOf,
  keepMine,
  type Mistakes,
  mistakesIn,
  mistakesOf,
  requestOf,
  type Settings,
} from "../draft/draft"
import classes from "../Manage.module.css"
import { historyQuery, saveSettings, settingsQuery } from "../queries"
import { Conflict } from "./Conflict"
import { MonthlyBudget } from "./MonthlyBudget"
import { UsageAlerts } from "./UsageAlerts"

export function SettingsForm() {
  const { data, error, refetch } = useQuery(settingsQuery)
  if (data) return <Form latest={data} />
  if (!error) return <PanelSkeleton />
  return (
    <div className={classes.sections}>
      <Failure error={error} retry={() => void refetch()} />
    </div>
  )
}

/** `latest`: the server's current settings. The form began from `base`, which another admin may have replaced since. */
function Form({ latest }: { latest: Settings }) {
  const client = useQueryClient()
  const [base, setBase] = useState(latest)
  const [draft, setDraft] = useState(() => draftOf(latest))
  const [refused, setRefused] = useState<Mistakes>({})
  const changes = differences(draftOf(base), draft)
  // A response to a request from before our save may arrive after it, so older versions are ignored.
  const isNewer = latest.version > base.version
  if (isNewer && changes.length === 0) begin(latest)
  const inConflict = isNewer && changes.length > 0
  const [isTried, setTried] = useState(false)
  const form = useRef<HTMLFormElement>(null)
  const missing = mistakesOf(draft)
  const mistakes = isTried ? { ...refused, ...missing } : refused

  const save = useMutation({
    mutationFn: () => saveSettings(base.version, requestOf(draft)),
    onSuccess: async (saved) => {
      await client.cancelQueries({ queryKey: settingsQuery.queryKey })
      begin(saved)
      client.setQueryData(settingsQuery.queryKey, saved)
      void client.invalidateQueries({ queryKey: bannerQuery.queryKey })
      void client.invalidateQueries({ queryKey: historyQuery.queryKey })
    },
    onError: (error) => {
      if (!(error instanceof Refusal)) return
      setRefused(mistakesIn(error.problem))
      focusFirstMistake(form.current)
      if (error.problem.status === 412) void client.invalidateQueries({ queryKey: settingsQuery.queryKey })
    },
  })

  function begin(settings: Settings, from = draftOf(settings)) {
    setBase(settings)
    setDraft(from)
    setRefused({})
    setTried(false)
  }

  function change(parts: Partial<Draft>) {
    setDraft((before) => ({ ...before, ...parts }))
    setRefused((before) => Object.fromEntries(Object.entries(before).filter(([field]) => !(field in parts))))
    if (!save.isPending) save.reset()
  }

  function submit() {
    if (changes.length === 0 || inConflict || save.isPending) return
    setTried(true)
    if (Object.keys({ ...refused, ...missing }).length === 0) save.mutate()
    else focusFirstMistake(form.current)
  }

  const section = (part: "usage" | "budget") => ({
    draft,
    settings: latest,
    mistakes,
    isComplete: !Object.keys({ ...refused, ...missing }).some((field) => field.startsWith(part)),
    change,
  })
  const wrong = Object.keys(mistakes).length > 0
  return (
    <form
      ref={form}
      className={classes.form}
      aria-label="Budget and alerts"
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
    >
      <div className={classes.sections}>
        {inConflict && (
          <Conflict
            mine={draft}
            theirs={latest}
            keepMine={() => begin(latest, keepMine(draftOf(base), draft, draftOf(latest)))}
            takeTheirs={() => begin(latest)}
          />
        )}
        <UsageAlerts {...section("usage")} />
        <MonthlyBudget {...section("budget")} />
      </div>
      <div className={classes.footer}>
        <p role="status">
          <Status
            changes={changes.length}
            wrong={wrong}
            inConflict={inConflict}
            saved={save.isSuccess}
            error={save.error}
            base={base}
          />
        </p>
        <Button variant="default" disabled={changes.length === 0 || save.isPending} onClick={() => begin(latest)}>
          Discard
        </Button>
        <Button type="submit" disabled={changes.length === 0 || inConflict} loading={save.isPending}>
          Save
        </Button>
      </div>
    </form>
  )
}

/** Moves the focus to the first error after the next render. */
function focusFirstMistake(form: HTMLFormElement | null) {
  requestAnimationFrame(() => form?.querySelector<HTMLElement>("[aria-invalid=true], [data-mistake] input")?.focus())
}

interface StatusProps {
  changes: number
  wrong: boolean
  inConflict: boolean
  saved: boolean
  error: Error | null
  base: Settings
}

function Status({ changes, wrong, inConflict, saved, error, base }: StatusProps) {
  const format = useFormat()
  if (inConflict) return "Someone else saved changes. Choose above which to keep."
  if (wrong) return "Not saved. Fix the errors above."
  if (error && !(error instanceof Refusal && error.problem.status === 412)) return `Not saved. ${error.message}`
  if (changes > 0) return changes === 1 ? "1 unsaved change" : `${changes} unsaved changes`
  if (saved) return "Saved. Alerts already past their threshold were sent."
  if (base.updated_at === null) return "Default settings"
  return `Last saved by ${base.updated_by ?? "someone"}, ${format.moment(new Date(base.updated_at))}.`
}
