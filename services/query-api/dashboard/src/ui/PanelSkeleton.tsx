import { Skeleton } from "@mantine/core"
import classes from "./PanelSkeleton.module.css"

/** A panel's placeholder while it loads. */
export function PanelSkeleton() {
  return (
    <div className={classes.skeleton} aria-hidden="true">
      <Skeleton height={18} width="40%" />
      <Skeleton height={44} />
      <Skeleton height={36} width="70%" />
      <Skeleton height={120} mt="lg" />
      <Skeleton height={120} />
    </div>
  )
}
