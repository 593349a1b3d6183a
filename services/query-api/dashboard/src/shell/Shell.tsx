import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { Outlet, useRouterState } from "@tanstack/react-router"
import { type ReactNode, useEffect, useMemo, useState } from "react"
import { AccessPage } from "../access/AccessPage"
import { Refusal, type Schemas } from "../api/client"
import { useLive } from "../api/live"
import { sessionQuery } from "../api/queries"
import { makeFormat } from "../format/format"
import { FormatContext } from "../format/useFormat"
import { useNow } from "../format/useNow"
import { MY_USAGE } from "../me/path"
import { Failure } from "../ui/Failure"
import { ColorScheme } from "./ColorScheme"
import { SILENT_AFTER_S } from "./freshness"
import { Person } from "./Person"
import classes from "./Shell.module.css"

/** The frame of each page. */
export function Shell() {
  const { data: session } = useQuery(sessionQuery)
  const organization = session?.organization_name ?? session?.organization
  useEffect(() => {
    document.title = organization ? `FlexCredits · ${organization}` : "FlexCredits"
  }, [organization])
  return (
    <Frame session={session}>
      <Gate>
        {session?.refusal_reason === null && <Live />}
        <Outlet />
      </Gate>
    </Frame>
  )
}

interface FrameProps {
  session?: Schemas["SessionResponse"] | undefined
  children: ReactNode
}

/** Header and main part; error pages use it too. */
export function Frame({ session, children }: FrameProps) {
  const format = useMemo(() => makeFormat(session?.time_zone ?? "UTC"), [session?.time_zone])
  return (
    <FormatContext value={format}>
      <a href="#main" className={classes.skip}>
        Skip to content
      </a>
      <header className={classes.header}>
        <div className={classes.bar}>
          <img src="/favicon.svg" alt="" width={24} height={24} />
          <nav aria-label="Breadcrumb">
            <ol className={classes.breadcrumb}>
              <li>Admin console</li>
              <li aria-current="page">FlexCredits</li>
            </ol>
          </nav>
          <span className={classes.organization}>{session?.organization_name ?? session?.organization}</span>
          <ColorScheme />
          {session && <Person session={session} />}
        </div>
      </header>
      <main id="main" className={classes.main} tabIndex={-1}>
        {children}
      </main>
    </FormatContext>
  )
}

/**
 * Shows the page only to users whom the API admits; everyone who is signed in may see their own usage, if the organization
 * allows it. No other request is sent before the session is known.
 */
function Gate({ children }: { children: ReactNode }) {
  const { data, error, refetch } = useQuery(sessionQuery)
  const isOwn = useRouterState({ select: ({ location }) => location.pathname }) === MY_USAGE
  if (isSignedOut(error)) return <AccessPage error={error} />
  if (data?.refusal_reason && !(isOwn && data.my_usage)) return <AccessPage refused={data.refusal_reason} />
  if (data) return children
  if (error) return <Failure error={error} retry={() => void refetch()} />
  return <Waiting />
}

function Waiting() {
  const [began] = useState(Date.now)
  const isSlow = useNow() - began > SILENT_AFTER_S * 1_000
  return (
    <div className={classes.waiting}>
      <p role="status">{isSlow && "The server isn’t responding. Still trying…"}</p>
      <Skeleton height={36} width="14rem" />
      <Skeleton height={124} />
      <Skeleton height={238} />
    </div>
  )
}

function isSignedOut(error: Error | null): error is Refusal {
  return error instanceof Refusal && error.problem.status === 401
}

function Live() {
  useLive()
  return null
}
