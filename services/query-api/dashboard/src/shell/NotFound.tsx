import { Button } from "@mantine/core"
import { IconMapQuestion } from "@tabler/icons-react"
import classes from "../access/AccessPage.module.css"

export function NotFound() {
  return (
    <section className={classes.page} aria-labelledby="not-found">
      <IconMapQuestion size={32} stroke={1.4} aria-hidden="true" />
      <h1 id="not-found">Page not found</h1>
      <p>This address doesn’t exist. It may have changed.</p>
      <Button component="a" href="/">
        Go to the dashboard
      </Button>
    </section>
  )
}
