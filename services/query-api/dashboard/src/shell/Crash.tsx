import { Button } from "@mantine/core"
import { IconAlertTriangle } from "@tabler/icons-react"
import classes from "../access/AccessPage.module.css"
import { Frame } from "./Shell"

/** Replaces content whose rendering failed. Its link reloads the page without the URL's parameters. */
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

/** The same, for errors in the page's frame itself. */
export function CrashedPage({ error }: { error: unknown }) {
  return (
    <Frame>
      <Crash error={error} />
    </Frame>
  )
}
