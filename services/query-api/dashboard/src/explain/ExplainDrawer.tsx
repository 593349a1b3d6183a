import { Drawer, Skeleton } from "@mantine/core"
import { lazy, Suspense } from "react"
import { useUrlState } from "../url/useUrlState"
import classes from "./ExplainDrawer.module.css"

const ExplainView = lazy(() => import("./ExplainView"))

/** Why usage changed; open while the URL has `panel=explain`. */
export function ExplainDrawer() {
  const [url, change] = useUrlState()
  return (
    <Drawer
      opened={url.panel === "explain"}
      onClose={() => change({ panel: undefined, explained: undefined, against: undefined })}
      position="right"
      size="xl"
      title="Why usage changed"
      closeButtonProps={{ "aria-label": "Close" }}
      classNames={{ title: classes.title }}
    >
      <Suspense fallback={<Skeleton height={420} />}>
        <ExplainView />
      </Suspense>
    </Drawer>
  )
}
