import { Button } from "@mantine/core"
import { IconLock, IconLogin2 } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { api, Refusal } from "../api/client"
import { sessionQuery } from "../api/queries"
import classes from "./AccessPage.module.css"

/** In place of the page, for whoever is not signed in or may not look. */
export function AccessPage({ error }: { error: Error }) {
  if (error instanceof Refusal && error.problem.status === 403) return <NoAccess why={error.problem.detail} />
  if (CAME_BACK === "refused" || CAME_BACK === "unavailable") return <NotLetIn why={CAME_BACK} />
  return <SignIn hasEnded={error.message.includes("ended")} />
}

/** What the address said when the page was loaded: the way back from the identity provider may end at a refusal. */
const CAME_BACK = new URLSearchParams(location.search).get("sign_in")

const REFUSALS = {
  refused: "Your identity provider did not let you in, or the way there and back took too long. Try once more.",
  unavailable: "Your identity provider, or our database, does not answer just now. Try again in a moment.",
}

function NotLetIn({ why }: { why: keyof typeof REFUSALS }) {
  return (
    <section className={classes.page} aria-labelledby="not-let-in" role="alert">
      <IconLogin2 size={32} stroke={1.4} aria-hidden="true" />
      <h1 id="not-let-in">You are not signed in</h1>
      <p>{REFUSALS[why]}</p>
      <Button component="a" href="/login">
        Sign in
      </Button>
    </section>
  )
}

function SignIn({ hasEnded }: { hasEnded: boolean }) {
  return (
    <section className={classes.page} aria-labelledby="sign-in">
      <IconLogin2 size={32} stroke={1.4} aria-hidden="true" />
      <h1 id="sign-in">{hasEnded ? "Your session has ended" : "Sign in to FlexCredits"}</h1>
      <p>
        The dashboard shows how your organization consumes FlexCredits. It is open to Super Admins, Admins, and Billing
        Moderators.
      </p>
      <Button component="a" href={loginTo()}>
        {hasEnded ? "Sign in again" : "Sign in"}
      </Button>
    </section>
  )
}

function NoAccess({ why }: { why: string }) {
  const { data: session } = useQuery(sessionQuery)
  return (
    <section className={classes.page} aria-labelledby="no-access">
      <IconLock size={32} stroke={1.4} aria-hidden="true" />
      <h1 id="no-access">You cannot open FlexCredits</h1>
      <p>{why}</p>
      {session && (
        <p className={classes.who}>
          You are signed in as {session.name || session.email || "somebody without a name"}
          {session.name && session.email && ` (${session.email})`},{" "}
          {session.role.replaceAll("_", " ") || "without a role"}.
        </p>
      )}
      <Button variant="default" onClick={() => void signInAsAnother()}>
        Sign in as somebody else
      </Button>
    </section>
  )
}

async function signInAsAnother() {
  await api.POST("/logout")
  location.assign(loginTo())
}

/** Back to this very view afterwards. */
function loginTo(): string {
  return `/login?to=${encodeURIComponent(location.pathname + location.search)}`
}
