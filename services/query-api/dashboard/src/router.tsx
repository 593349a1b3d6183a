import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router"
import { Dashboard } from "./Dashboard"
import { Crash, CrashedPage } from "./shell/Crash"
import { NotFound } from "./shell/NotFound"
import { Shell } from "./shell/Shell"
import { parseSearch, type Search, writeSearch } from "./url/search"
import { keyOf, rangeOf, readUrlState } from "./url/urlState"

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound, errorComponent: CrashedPage })

export const dashboardRoute = createRoute({
  getParentRoute: () => root,
  path: "/",
  validateSearch: (search: Search) => readUrlState(search),
  component: Dashboard,
  errorComponent: Crash,
})

export const myUsageRoute = createRoute({
  getParentRoute: () => root,
  path: "/me",
  validateSearch: (search: Search) => rangeOf(readUrlState(search)),
  component: lazyRouteComponent(() => import("./me/MyUsage")),
  errorComponent: Crash,
})

export const connectionsRoute = createRoute({
  getParentRoute: () => root,
  path: "/connections",
  validateSearch: (search: Search) => keyOf(readUrlState(search)),
  component: lazyRouteComponent(() => import("./connections/Connections")),
  errorComponent: Crash,
})

export const router = createRouter({
  routeTree: root.addChildren([dashboardRoute, myUsageRoute, connectionsRoute]),
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
