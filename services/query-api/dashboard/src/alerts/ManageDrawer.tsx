/** Manage budget and alerts: open while the address says `panel=alerts`. */
export function ManageDrawer() {
  return null
}
