import { Drawer, Skeleton } from "@mantine/core"
import { lazy, Suspense } from "react"
import { useUrlState } from "../url/useUrlState"
import classes from "./Runs.module.css"

const RunView = lazy(() => import("./RunView"))

/** One run; open while the URL has `panel=run`. */
export function RunDrawer() {
  const [url, change] = useUrlState()
  return (
    <Drawer
      opened={url.panel === "run" && url.run !== undefined}
      onClose={() => change({ panel: undefined, run: undefined, receipt: undefined })}
      position="right"
      size="xl"
      title="Run"
      closeButtonProps={{ "aria-label": "Close" }}
      classNames={{ title: classes.drawerTitle }}
    >
      <Suspense fallback={<Skeleton height={420} />}>{url.run && <RunView id={url.run} />}</Suspense>
    </Drawer>
  )
}
