import { Button } from "@mantine/core"
import { IconBell } from "@tabler/icons-react"
import { ManageDrawer } from "./alerts/ManageDrawer"
import { AuditDrawer } from "./audit/AuditDrawer"
import { Banner } from "./banner/Banner"
import classes from "./Dashboard.module.css"
import { ExplainDrawer } from "./explain/ExplainDrawer"
import { ExportsDrawer } from "./exports/ExportsDrawer"
import { Overview } from "./overview/Overview"
import { Drivers } from "./people/Drivers"
import { Reconcile } from "./reconcile/Reconcile"
import { RunDrawer } from "./runs/RunDrawer"
import { Freshness } from "./shell/Freshness"
import { Shortcuts } from "./shortcuts/Shortcuts"
import { Breakdown } from "./tabs/Breakdown"
import { useChangeUrl } from "./url/useUrlState"

/** The page: banner, usage overview and usage breakdown. */
export function Dashboard() {
  const change = useChangeUrl()
  return (
    <div className={classes.page}>
      <Banner />
      <header className={classes.header}>
        <div>
          <h1>FlexCredits</h1>
          <Freshness />
        </div>
        <Button
          variant="default"
          size="sm"
          className="no-print"
          aria-keyshortcuts="m"
          leftSection={<IconBell size={16} stroke={1.6} aria-hidden="true" />}
          onClick={() => change({ panel: "alerts" }, "push")}
        >
          Manage budget and alerts
        </Button>
      </header>
      <Overview />
      <Breakdown />
      <Reconcile />
      <AuditDrawer />
      <ManageDrawer />
      <Drivers />
      <RunDrawer />
      <ExplainDrawer />
      <ExportsDrawer />
      <Shortcuts />
    </div>
  )
}
