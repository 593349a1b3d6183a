import { createRootRoute, createRoute, createRouter } from "@tanstack/react-router"
import { Dashboard } from "../Dashboard"
import { NotFound } from "../shell/NotFound"
import { Shell } from "../shell/Shell"
import { parseSearch, type Search, writeSearch } from "./search"
import { readView } from "./view"

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound })

export const dashboardRoute = createRoute({
  getParentRoute: () => root,
  path: "/",
  validateSearch: (search: Search) => readView(search),
  component: Dashboard,
})

export const router = createRouter({
  routeTree: root.addChildren([dashboardRoute]),
  parseSearch,
  stringifySearch: (search) => writeSearch(search as Search),
  scrollRestoration: true,
})

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router
  }
}
