import { Tooltip } from "@mantine/core"
import type { ReactNode } from "react"
import classes from "./Hint.module.css"

interface Props {
  label: string
  /** Without the dotted underline of hints. */
  plain?: boolean
  testId?: string | undefined
  children: ReactNode
}

/** A text with an explanation that opens by pointer, touch and keyboard. */
export function Hint({ label, plain = false, testId, children }: Props) {
  return (
    <Tooltip label={label} multiline maw={300} events={{ hover: true, focus: true, touch: true }}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the explanation must be reachable by keyboard */}
      <span tabIndex={0} className={plain ? classes.plain : classes.hint} data-hint={label} data-testid={testId}>
        {children}
      </span>
    </Tooltip>
  )
}
