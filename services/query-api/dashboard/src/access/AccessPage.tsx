import { Button } from "@mantine/core"
import { IconLock, IconLogin2 } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { api } from "../api/client"
import { sessionQuery } from "../api/queries"
import { MY_USAGE } from "../me/path"
import { roleName } from "../ui/labels"
import classes from "./AccessPage.module.css"

/** Replaces the page for a user who is not signed in, or whose role gives no access; `refused` has the reason. */
export function AccessPage({ error, refused }: { error?: Error; refused?: string }) {
  if (refused) return <NoAccess why={refused} />
  if (SIGN_IN_RESULT === "refused" || SIGN_IN_RESULT === "unavailable")
    return <SignedOut why={REFUSALS[SIGN_IN_RESULT]} />
  if (SIGN_IN_RESULT === "unknown") return <SignedOut why={sayUnknown()} />
  return <SignIn hasEnded={error?.message.includes("ended") ?? false} />
}

/** The URL's query when the page was loaded: the identity provider's redirect may carry a refusal. */
const QUERY = new URLSearchParams(location.search)
const SIGN_IN_RESULT = QUERY.get("sign_in")

/** For an organization without any events: a wrong name is more likely than missing usage. */
function sayUnknown(): string {
  const organization = /^[\w.:-]{1,64}$/.exec(QUERY.get("organization") ?? "")?.[0]
  const named = organization ? `The organization “${organization}”` : "Your organization"
  return `${named} isn’t set up in FlexCredits yet. Check that you signed in to the right organization, or contact your account manager.`
}

const REFUSALS = {
  refused: "Sign-in failed or timed out. Try again.",
  unavailable: "Sign-in is temporarily unavailable. Try again in a moment.",
}

function SignedOut({ why }: { why: string }) {
  return (
    <section className={classes.page} aria-labelledby="not-let-in" role="alert">
      <IconLogin2 size={32} stroke={1.4} aria-hidden="true" />
      <h1 id="not-let-in">You’re not signed in</h1>
      <p>{why}</p>
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
      <p>See how your organization uses its FlexCredits. Available to Super Admins, Admins, and Billing Moderators.</p>
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
      <h1 id="no-access">You don’t have access to FlexCredits</h1>
      <p>{why}</p>
      {session && (
        <p className={classes.account}>
          Signed in as {session.name || session.email || session.organization}
          {session.name && session.email && ` (${session.email})`} · {roleName(session.role)}
        </p>
      )}
      {session?.my_usage && (
        <Button component="a" href={MY_USAGE}>
          See your own usage
        </Button>
      )}
      <Button variant="default" onClick={() => void signInAsAnother()}>
        Use another account
      </Button>
    </section>
  )
}

async function signInAsAnother() {
  await api.POST("/logout")
  location.assign(loginTo())
}

/** The login URL; after the login it returns to the current view. */
function loginTo(): string {
  return `/login?to=${encodeURIComponent(location.pathname + location.search)}`
}
