import { IconMessageCircle } from "@tabler/icons-react"
import type { Schemas } from "../api/client"
import classes from "./Reconcile.module.css"

/** The contact for billing questions. */
export function Contact({ team }: { team: Schemas["AccountTeam"] | null }) {
  return (
    <aside className={classes.contact}>
      <IconMessageCircle size={18} stroke={1.6} aria-hidden="true" />
      <p>
        Questions about how usage maps to billing, or how overage is calculated? Contact your account manager
        {team?.name && `, ${team.name}`}
        {team?.email && (
          <>
            {", "}
            <a href={`mailto:${team.email}`}>{team.email}</a>
          </>
        )}
        {team?.url && (
          <>
            {", "}
            <a href={team.url} target="_blank" rel="noreferrer">
              contact page
            </a>
          </>
        )}
        .
      </p>
    </aside>
  )
}
