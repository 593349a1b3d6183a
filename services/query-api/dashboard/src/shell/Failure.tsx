import { Button } from "@mantine/core"
import { IconAlertTriangle, IconRefresh } from "@tabler/icons-react"
import { Refusal } from "../api/client"
import classes from "./Failure.module.css"

/** In place of what could not be loaded, in the API's own words. */
export function Failure({ error, retry }: { error: Error; retry: () => void }) {
  const { title, detail } =
    error instanceof Refusal
      ? error.problem
      : { title: "The server does not answer", detail: "Check your connection, or try again in a moment." }
  return (
    <div className={classes.failure} role="alert">
      <IconAlertTriangle size={20} stroke={1.6} aria-hidden="true" />
      <div>
        <strong>{title}</strong>
        <p>{detail}</p>
      </div>
      <Button
        variant="default"
        size="xs"
        leftSection={<IconRefresh size={14} stroke={1.6} aria-hidden="true" />}
        onClick={retry}
      >
        Try again
      </Button>
    </div>
  )
}
