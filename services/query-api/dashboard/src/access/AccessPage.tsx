import { Refusal } from "../api/client"

/** In place of the page, for whoever is not signed in or may not look. */
export function AccessPage({ error }: { error: Error }) {
  const here = location.pathname + location.search
  if (error instanceof Refusal && error.problem.status === 401) {
    return <a href={`/login?to=${encodeURIComponent(here)}`}>Sign in</a>
  }
  return <p role="alert">{error.message}</p>
}
