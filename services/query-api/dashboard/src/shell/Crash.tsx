import { Button } from "@mantine/core"
import { IconAlertTriangle } from "@tabler/icons-react"
import classes from "../access/AccessPage.module.css"
import { Frame } from "./Shell"

/** In place of what could not be drawn. Its link loads all again, without what stood in the address. */
export function Crash({ error }: { error: unknown }) {
  return (
    <section className={classes.page} aria-labelledby="crash" role="alert">
      <IconAlertTriangle size={32} stroke={1.4} aria-hidden="true" />
      <h1 id="crash">This page couldn’t be displayed</h1>
      <p>Your data is safe. If this happens again, contact support with this message:</p>
      <code>{error instanceof Error ? error.message : String(error)}</code>
      <Button component="a" href="/">
        Go to the dashboard
      </Button>
    </section>
  )
}

/** The same where not even the page's frame could be drawn. */
export function CrashedPage({ error }: { error: unknown }) {
  return (
    <Frame>
      <Crash error={error} />
    </Frame>
  )
}
