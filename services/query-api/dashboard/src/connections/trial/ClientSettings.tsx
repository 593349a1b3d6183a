import { Button, CopyButton } from "@mantine/core"
import { ScrollRegion } from "../../ui/ScrollRegion"
import classes from "../Connections.module.css"
import { type Protocol, settingsOf } from "../protocols"

/** Environment variables that send the events of the mapping's clients here. */
export function ClientSettings({ protocols, names }: { protocols: Protocol[]; names: string[] }) {
  const settings = settingsOf(protocols)
  return (
    <section className={classes.panel} aria-labelledby="client-settings">
      <h2 id="client-settings">Settings of the program</h2>
      <p className={classes.quiet}>
        For {names.join(", ")}. Replace $INGEST_URL by the address of the ingest API, and $INGEST_KEY by the key; your
        operators know both.
      </p>
      <ScrollRegion className={classes.command} label="Environment variables">
        <pre data-testid="client-settings">{settings}</pre>
      </ScrollRegion>
      <CopyButton value={settings}>
        {({ copied, copy }) => (
          <Button variant="default" size="xs" className={classes.copy} onClick={copy}>
            {copied ? "Copied" : "Copy settings"}
          </Button>
        )}
      </CopyButton>
    </section>
  )
}
