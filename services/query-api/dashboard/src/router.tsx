import { createRootRoute, createRoute, createRouter } from "@tanstack/react-router"
import { Dashboard } from "./Dashboard"
import { Crash, CrashedPage } from "./shell/Crash"
import { NotFound } from "./shell/NotFound"
import { Shell } from "./shell/Shell"
import { parseSearch, type Search, writeSearch } from "./url/search"
import { readUrlState } from "./url/urlState"

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound, errorComponent: CrashedPage })

export const dashboardRoute = createRoute({
  getParentRoute: () => root,
  path: "/",
  validateSearch: (search: Search) => readUrlState(search),
  component: Dashboard,
  errorComponent: Crash,
})

export const router = createRouter({
  routeTree: root.addChildren([dashboardRoute]),
  // Cleaned in the parser: parameters that a route's own validation drops would stay in its parents' search.
  parseSearch: (text) => readUrlState(parseSearch(text)),
  stringifySearch: (search) => writeSearch(search as Search),
  scrollRestoration: true,
})

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router
  }
}
