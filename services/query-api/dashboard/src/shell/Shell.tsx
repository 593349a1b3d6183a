import { useQuery } from "@tanstack/react-query"
import { Outlet } from "@tanstack/react-router"
import { AccessPage } from "../access/AccessPage"
import { Refusal } from "../api/client"
import { overviewQuery } from "../api/queries"
import classes from "./Shell.module.css"

/** The frame of every page, and the gate: the page is for whoever the API lets look. */
export function Shell() {
  const { error } = useQuery(overviewQuery)
  const refused = error instanceof Refusal && [401, 403].includes(error.problem.status)
  return (
    <div className={classes.shell}>
      <header className={classes.header}>
        <nav aria-label="Breadcrumb">
          <ol className={classes.breadcrumb}>
            <li>Admin console</li>
            <li aria-current="page">FlexCredits</li>
          </ol>
        </nav>
      </header>
      <main className={classes.main}>{refused ? <AccessPage error={error} /> : <Outlet />}</main>
    </div>
  )
}
