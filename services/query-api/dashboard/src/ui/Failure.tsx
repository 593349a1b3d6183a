import { Button } from "@mantine/core"
import { IconAlertTriangle, IconRefresh } from "@tabler/icons-react"
import { Refusal } from "../api/client"
import classes from "./Failure.module.css"

/** Replaces content that could not be loaded, with the API's error text. */
export function Failure({ error, retry }: { error: Error; retry: () => void }) {
  const isOfAddress = error instanceof Refusal && [404, 422].includes(error.problem.status)
  const { title, detail } =
    error instanceof Refusal
      ? error.problem
      : { title: "The server isn't responding", detail: "Check your connection, or try again in a moment." }
  return (
    <div className={classes.failure} role="alert">
      <IconAlertTriangle size={20} stroke={1.6} aria-hidden="true" />
      <div>
        <strong>{title}</strong>
        <p>{detail}</p>
      </div>
      {isOfAddress ? (
        <Button component="a" variant="default" size="xs" href="/">
          Reset view
        </Button>
      ) : (
        <Button
          variant="default"
          size="xs"
          leftSection={<IconRefresh size={14} stroke={1.6} aria-hidden="true" />}
          onClick={retry}
        >
          Try again
        </Button>
      )}
    </div>
  )
}
