import { Drawer, Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { lazy, Suspense } from "react"
import { breakdownQuery } from "../breakdown/queries"
import { useUrlState } from "../url/useUrlState"
import { nameOf, readOf } from "../who/driven"
import classes from "./People.module.css"

const DriversList = lazy(() => import("./DriversList"))

/** Who uses an agent or a feature; open while the URL has `panel=drivers`. */
export function Drivers() {
  const [url, change] = useUrlState()
  const driven = readOf(url)
  const { data } = useQuery({ ...breakdownQuery(url), enabled: url.panel === "drivers" })
  return (
    <Drawer
      opened={url.panel === "drivers" && driven !== undefined}
      onClose={() => change({ panel: undefined, of: undefined })}
      position="right"
      size="md"
      title={`Who uses ${nameOf(url.of, data?.rows ?? [])}`}
      closeButtonProps={{ "aria-label": "Close" }}
      classNames={{ title: classes.title }}
    >
      <Suspense fallback={<Skeleton height={320} />}>{driven && <DriversList driven={driven} />}</Suspense>
    </Drawer>
  )
}
