import { infiniteQueryOptions } from "@tanstack/react-query"
import { api, bodyOf } from "../api/client"

const PAGE = 50

export const auditQuery = infiniteQueryOptions({
  queryKey: ["audit"],
  queryFn: ({ signal, pageParam }) =>
    bodyOf(
      api.GET("/api/v1/audit", { params: { query: { limit: PAGE, ...(pageParam && { before: pageParam }) } }, signal }),
    ),
  initialPageParam: "",
  getNextPageParam: (page) => page.next,
  staleTime: 0,
})

/** Whether a role may see the audit log. The API enforces it; the page only hides the link. */
export function maySeeAudit(role: string | undefined): boolean {
  return role === "super_admin" || role === "admin"
}
