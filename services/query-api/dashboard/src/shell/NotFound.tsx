import { Link } from "@tanstack/react-router"

export function NotFound() {
  return (
    <section>
      <h1>There is no such page</h1>
      <p>
        <Link to="/">Go to the FlexCredits dashboard</Link>
      </p>
    </section>
  )
}
