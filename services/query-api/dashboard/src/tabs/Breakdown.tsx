import { Skeleton, Tabs } from "@mantine/core"
import { useInfiniteQuery, useQuery } from "@tanstack/react-query"
import { lazy, Suspense } from "react"
import { sessionQuery } from "../api/queries"
import classes from "../breakdown/Breakdown.module.css"
import { Download } from "../breakdown/controls/Download"
import { Filters } from "../breakdown/controls/Filters"
import { PeriodPicker } from "../breakdown/controls/PeriodPicker"
import { ShareLink } from "../breakdown/controls/ShareLink"
import { breakdownQuery } from "../breakdown/queries"
import { Summary } from "../breakdown/Summary"
import { UsageTable } from "../breakdown/table/UsageTable"
import { UsageTrend } from "../breakdown/trend/UsageTrend"
import { peopleQuery } from "../people/queries"
import { runsQuery } from "../runs/queries"
import { Failure } from "../ui/Failure"
import { PRODUCT_NAMES } from "../ui/labels"
import { type Product, type Tab, type UrlState, VIEWS } from "../url/urlState"
import { useUrlState } from "../url/useUrlState"

const PRODUCTS = Object.keys(VIEWS) as Product[]
const OTHER_TABS: Record<Tab, string> = { people: "People", runs: "Runs" }

const PeopleTab = lazy(() => import("../people/PeopleTab"))
const RunsTab = lazy(() => import("../runs/RunsTab"))

/** Usage of the chosen days: a tab per product, each with a chart and a table of the chosen view, then people and runs. */
export function Breakdown() {
  const [url, change] = useUrlState()
  const { data, error, isPlaceholderData, refetch } = useQuery({ ...breakdownQuery(url), enabled: !url.tab })
  const range = useShownRange(url) ?? data?.range
  const product = url.product ?? "assistant"
  // Do not show another product's rows while this product's rows load.
  const shown = data?.product === product ? data : undefined
  const open = (tab: string | null) =>
    change(
      { ...CLOSED, ...(isProduct(tab) ? { product: tab === "assistant" ? undefined : tab } : { tab: tab as Tab }) },
      "push",
    )
  return (
    <section className={classes.panel} aria-labelledby="breakdown-title" data-testid="breakdown">
      <header className={classes.header}>
        <h2 id="breakdown-title">Usage breakdown</h2>
        <PeriodPicker range={range} />
        <div className={classes.actions}>
          <ShareLink />
          <Download range={range} />
        </div>
      </header>
      <Tabs value={url.tab ?? product} onChange={open} keepMounted={false} classNames={{ list: classes.tabs }}>
        <Tabs.List aria-label="Product type">
          {PRODUCTS.map((tab, at) => (
            <Tabs.Tab key={tab} value={tab} aria-keyshortcuts={`${at + 1}`}>
              {PRODUCT_NAMES[tab]}
            </Tabs.Tab>
          ))}
          {Object.entries(OTHER_TABS).map(([tab, name], at) => (
            <Tabs.Tab key={tab} value={tab} aria-keyshortcuts={`${PRODUCTS.length + at + 1}`}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {PRODUCTS.map((tab) => (
          <Tabs.Panel key={tab} value={tab} className={classes.content} data-stale={isPlaceholderData}>
            <Filters surfaces={shown?.surfaces} />
            {error && !shown ? (
              <Failure error={error} retry={refetch} />
            ) : (
              <>
                <Summary breakdown={shown} />
                {(shown?.rows.length !== 0 || url.scope === "all") && <UsageTrend />}
                <UsageTable key={url.view} breakdown={shown} />
              </>
            )}
          </Tabs.Panel>
        ))}
        <Tabs.Panel value="people" className={classes.content}>
          <Suspense fallback={<Skeleton height={420} radius="md" />}>
            <PeopleTab />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="runs" className={classes.content}>
          <Suspense fallback={<Skeleton height={420} radius="md" />}>
            <RunsTab />
          </Suspense>
        </Tabs.Panel>
      </Tabs>
    </section>
  )
}

/** What does not apply to another tab. */
const CLOSED = { tab: undefined, agent: undefined, product: undefined, view: undefined, q: undefined, open: undefined }

function isProduct(tab: string | null): tab is Product {
  return PRODUCTS.some((product) => product === tab)
}

/** The range that the tabs of people and runs show. */
function useShownRange(url: UrlState) {
  const mode = useQuery(sessionQuery).data?.people ?? "named"
  const people = useInfiniteQuery({ ...peopleQuery(url, mode), enabled: url.tab === "people" }).data
  const runs = useInfiniteQuery({ ...runsQuery(url), enabled: url.tab === "runs" }).data
  return { people, runs }[url.tab ?? "people"]?.pages[0]?.range
}
