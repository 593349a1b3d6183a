import { Button, Chip, TextInput } from "@mantine/core"
import { useState } from "react"
import { threshold } from "../../format/format"
import { COMMON_THRESHOLDS, thresholdMistake } from "../draft/draft"
import classes from "../Manage.module.css"

interface ThresholdsProps {
  label: string
  /** The amount that percentages refer to, for example "of the monthly budget". */
  of: string
  chosen: number[]
  mistake: string | undefined
  choose: (thresholds: number[]) => void
}

/** Common percentages to switch on and off, and custom ones to add. Switching off a custom one removes it. */
export function Thresholds({ label, of, chosen, mistake, choose }: ThresholdsProps) {
  const [text, setText] = useState("")
  const [refused, setRefused] = useState<string>()
  const offered = [...new Set([...COMMON_THRESHOLDS, ...chosen])].sort((one, other) => one - other)

  function add() {
    const problem = thresholdMistake(text.trim(), chosen)
    setRefused(problem)
    if (problem) return
    choose(sorted([...chosen, Number(text)]))
    setText("")
  }

  return (
    <fieldset className={classes.fieldset} data-mistake={mistake !== undefined || undefined}>
      <legend className={classes.label}>
        {label} <span className={classes.of}>({of})</span>
      </legend>
      <div className={classes.chips}>
        {offered.map((percent) => (
          <Chip
            key={percent}
            checked={chosen.includes(percent)}
            onChange={(on) => choose(on ? sorted([...chosen, percent]) : chosen.filter((one) => one !== percent))}
          >
            {threshold(percent)}
          </Chip>
        ))}
        <div className={classes.custom}>
          <TextInput
            aria-label={`${label}: custom percentage`}
            placeholder="Custom %"
            inputMode="numeric"
            size="xs"
            value={text}
            error={refused}
            onChange={({ currentTarget }) => {
              setText(currentTarget.value.replace("%", ""))
              setRefused(undefined)
            }}
            onKeyDown={(event) => {
              if (event.key !== "Enter") return
              event.preventDefault() // otherwise Enter saves the form
              add()
            }}
          />
          <Button size="xs" variant="default" onClick={add} disabled={text.trim() === ""}>
            Add
          </Button>
        </div>
      </div>
      {mistake && (
        <p className={classes.quiet} role="alert" style={{ color: "var(--mantine-color-error)" }}>
          {mistake}
        </p>
      )}
    </fieldset>
  )
}

function sorted(percents: number[]): number[] {
  return percents.sort((one, other) => one - other)
}
