import { Drawer, Skeleton } from "@mantine/core"
import { lazy, Suspense } from "react"
import { useUrlState } from "../url/useUrlState"

const ExportsList = lazy(() => import("./ExportsList"))

/** Files of the past, and what has changed since; open while the URL has `panel=exports`. */
export function ExportsDrawer() {
  const [url, change] = useUrlState()
  return (
    <Drawer
      opened={url.panel === "exports"}
      onClose={() => change({ panel: undefined })}
      position="right"
      size="xl"
      title="Downloaded files"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Suspense fallback={<Skeleton height={420} />}>
        <ExportsList />
      </Suspense>
    </Drawer>
  )
}
