import { UnstyledButton } from "@mantine/core"
import type { ReactNode } from "react"
import type { Schemas } from "../api/client"
import { useUrlState } from "../url/useUrlState"
import classes from "./Runs.module.css"

/** Opens the parent or a child run in the same drawer. */
export function OpenRun({ link, children }: { link: Schemas["RunLink"]; children: ReactNode }) {
  const [, change] = useUrlState()
  return (
    <UnstyledButton
      className={classes.related}
      onClick={() => change({ panel: "run", run: link.key, receipt: undefined }, "push")}
    >
      {children}
    </UnstyledButton>
  )
}
