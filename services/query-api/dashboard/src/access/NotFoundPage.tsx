import { Button } from "@mantine/core"
import { IconMapQuestion } from "@tabler/icons-react"
import classes from "./AccessPage.module.css"

/** For an address that is none of ours. */
export function NotFoundPage() {
  return (
    <section className={classes.page} aria-labelledby="not-found">
      <IconMapQuestion size={32} stroke={1.4} aria-hidden="true" />
      <h1 id="not-found">There is no page at this address</h1>
      <p>It may have been mistyped, or be of an older version.</p>
      <Button component="a" href="/">
        To the dashboard
      </Button>
    </section>
  )
}
