/** The page where Super Admins connect programs that already report usage elsewhere. */
export const CONNECTIONS = "/connections"

/** Whether a role may see the page. The API enforces it; the page only hides the link. */
export function mayConnect(role: string | undefined): boolean {
  return role === "super_admin"
}
