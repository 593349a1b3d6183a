import { Button, CopyButton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useState } from "react"
import { sessionQuery } from "../api/queries"
import { ScrollRegion } from "../ui/ScrollRegion"
import classes from "./table/UsageTable.module.css"

/** For an organization without usage: a command that sends a first event. It needs only a deployment's address and key. */
export function FirstEvent() {
  const { data: session } = useQuery(sessionQuery)
  const [command] = useState(() => write(session?.organization ?? "org_acme"))
  return (
    <div className={classes.first}>
      <p>Send your first usage event:</p>
      <ScrollRegion className={classes.command} label="Command that sends a usage event">
        <pre data-testid="first-event">{command}</pre>
      </ScrollRegion>
      <CopyButton value={command}>
        {({ copied, copy }) => (
          <Button variant="default" size="xs" onClick={copy}>
            {copied ? "Copied" : "Copy command"}
          </Button>
        )}
      </CopyButton>
    </div>
  )
}

function write(organization: string): string {
  const event = {
    specversion: "1.0",
    id: `first-${Date.now()}`,
    source: "/products/assistant",
    type: "flexcredits.usage.v1",
    subject: organization,
    time: new Date().toISOString(),
    data: { product: "assistant", feature_kind: "model", feature: "my-model", surface: "web", credits: "1.25" },
  }
  return `curl "$INGEST_URL/api/v1/events" \\
  -H "Authorization: Bearer $INGEST_KEY" \\
  -H "Content-Type: application/cloudevents+json" \\
  -d '${JSON.stringify(event)}'`
}
