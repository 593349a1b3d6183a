import { ManageDrawer } from "./alerts/ManageDrawer"
import { Banner } from "./banner/Banner"
import { Overview } from "./overview/Overview"

/** The page: what is wrong, how the organization stands, and what drives it. */
export function Dashboard() {
  return (
    <>
      <Banner />
      <Overview />
      <ManageDrawer />
    </>
  )
}
