import classes from "./Pill.module.css"

/** A state as one word. */
export function Pill({ tone, children }: { tone: "good" | "warning" | "bad" | "quiet"; children: string }) {
  return (
    <span className={classes.pill} data-tone={tone}>
      {children}
    </span>
  )
}
