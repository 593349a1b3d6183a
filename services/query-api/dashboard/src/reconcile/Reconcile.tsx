import { Drawer, Skeleton } from "@mantine/core"
import { lazy, Suspense } from "react"
import { useUrlState } from "../url/useUrlState"
import classes from "./Reconcile.module.css"

const Steps = lazy(() => import("./Steps"))

/** Explains line by line how usage relates to the contract's total. */
export function Reconcile() {
  const [url, change] = useUrlState()
  return (
    <Drawer
      opened={url.panel === "reconcile"}
      onClose={() => change({ panel: undefined })}
      position="right"
      size="lg"
      title="Why doesn't this match my contract?"
      closeButtonProps={{ "aria-label": "Close" }}
      classNames={{ title: classes.title }}
    >
      <Suspense fallback={<Skeleton height={420} />}>
        <Steps creditPeriod={url.credit_period} />
      </Suspense>
    </Drawer>
  )
}
