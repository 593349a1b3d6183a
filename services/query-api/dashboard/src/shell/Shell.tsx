import { useQuery } from "@tanstack/react-query"
import { Outlet } from "@tanstack/react-router"
import { useEffect, useMemo } from "react"
import { AccessPage } from "../access/AccessPage"
import { Refusal } from "../api/client"
import { useLive } from "../api/live"
import { overviewQuery, sessionQuery } from "../api/queries"
import { makeFormat } from "../format"
import { ColorScheme } from "./ColorScheme"
import { Person } from "./Person"
import classes from "./Shell.module.css"
import { FormatContext } from "./useFormat"

/** The frame of every page, and the gate: the page is for whoever the API lets look. */
export function Shell() {
  const session = useQuery(sessionQuery)
  const overview = useQuery(overviewQuery)
  const organization = session.data?.organization_name ?? session.data?.organization
  useEffect(() => {
    document.title = organization ? `FlexCredits · ${organization}` : "FlexCredits"
  }, [organization])
  const { locale = "en-US", time_zone } = session.data ?? {}
  const format = useMemo(() => makeFormat(locale, time_zone ?? "UTC"), [locale, time_zone])
  const refused = [overview.error, session.error].find(isRefusal)
  return (
    <FormatContext value={format}>
      <a href="#main" className={classes.skip}>
        Skip to the content
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
          <span className={classes.organization}>{organization}</span>
          <ColorScheme />
          {session.data && <Person session={session.data} />}
        </div>
      </header>
      <main id="main" className={classes.main} tabIndex={-1}>
        {refused ? (
          <AccessPage error={refused} />
        ) : (
          <>
            <Live />
            <Outlet />
          </>
        )}
      </main>
    </FormatContext>
  )
}

/** Nobody is signed in any more, or not the right one. Other failures are told where they happen. */
function isRefusal(error: Error | null): error is Refusal {
  return error instanceof Refusal && [401, 403].includes(error.problem.status)
}

function Live() {
  useLive()
  return null
}
