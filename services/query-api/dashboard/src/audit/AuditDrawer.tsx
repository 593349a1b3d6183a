import { Drawer, Skeleton } from "@mantine/core"
import { lazy, Suspense } from "react"
import { useUrlState } from "../url/useUrlState"
import classes from "./Audit.module.css"

const AuditLog = lazy(() => import("./AuditLog"))

/** The audit log; open while the URL has `panel=audit`. */
export function AuditDrawer() {
  const [url, change] = useUrlState()
  return (
    <Drawer
      opened={url.panel === "audit"}
      onClose={() => change({ panel: undefined })}
      position="right"
      size="xl"
      title="Audit log"
      closeButtonProps={{ "aria-label": "Close" }}
      classNames={{ title: classes.title }}
    >
      <Suspense fallback={<Skeleton height={420} />}>
        <AuditLog />
      </Suspense>
    </Drawer>
  )
}
