import { Skeleton } from "@mantine/core"
import { IconArrowLeft } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useSearch } from "@tanstack/react-router"
import { useState } from "react"
import { sessionQuery } from "../api/queries"
import { Failure } from "../ui/Failure"
import { ScrollRegion } from "../ui/ScrollRegion"
import classes from "./Connections.module.css"
import { Keys } from "./Keys"
import type { Draft } from "./mapping/draft"
import { KeyMapping } from "./mapping/KeyMapping"
import { mayConnect } from "./path"
import { keysQuery } from "./queries"

/** API keys of the organization, and the mappings of what programs send with them. */
export default function Connections() {
  const session = useQuery(sessionQuery).data
  return (
    <div className={classes.page}>
      <header className={classes.header}>
        <h1>Connections</h1>
        <a href="/">
          <IconArrowLeft size={15} stroke={1.8} aria-hidden="true" />
          Usage of the organization
        </a>
      </header>
      {mayConnect(session?.role) ? (
        <KeysAndMapping organization={session?.organization ?? ""} />
      ) : (
        <p className={classes.quiet}>Connections are for Super Admins of your organization.</p>
      )}
    </div>
  )
}

function KeysAndMapping({ organization }: { organization: string }) {
  const search = useSearch({ from: "/connections" })
  const { data, error, refetch } = useQuery(keysQuery)
  const [drafts, setDrafts] = useState<Record<string, Draft | undefined>>({})
  if (!data) return error ? <Failure error={error} retry={() => void refetch()} /> : <Skeleton height={420} />
  const chosen = data.keys.find(({ id }) => id === search.key) ?? data.keys[0]
  const unsaved = Object.keys(drafts).filter((id) => drafts[id] !== undefined)
  return (
    <>
      <p className={classes.quiet}>
        A program that reports usage to OpenMeter, OpenTelemetry, LiteLLM or Lago can report it here: give it another
        address and an API key. A mapping of that key says which of its events are which usage.
      </p>
      {chosen ? (
        <>
          <Keys keys={data.keys} chosen={chosen.id} unsaved={unsaved} />
          <KeyMapping
            key={chosen.id}
            apiKey={chosen}
            draft={drafts[chosen.id]}
            setDraft={(draft) => setDrafts((before) => ({ ...before, [chosen.id]: draft }))}
          />
        </>
      ) : (
        <NoKeys organization={organization} />
      )}
    </>
  )
}

function NoKeys({ organization }: { organization: string }) {
  return (
    <section className={classes.panel} aria-labelledby="no-keys">
      <h2 id="no-keys">No API key yet</h2>
      <p className={classes.quiet}>
        Keys are created by the operators of FlexCredits. Ask them for a key that is only for your organization:
      </p>
      <ScrollRegion className={classes.command} label="Command that creates a key">
        <pre>./flexcredits keys create --organization {organization}</pre>
      </ScrollRegion>
    </section>
  )
}
