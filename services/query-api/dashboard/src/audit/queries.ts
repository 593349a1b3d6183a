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

/** Who may see the audit log. The API decides; this only spares the others a link that leads nowhere. */
export function maySeeAudit(role: string | undefined): boolean {
  return role === "super_admin" || role === "admin"
}
