import { Tabs } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { Failure } from "../ui/Failure"
import { PRODUCT_NAMES } from "../ui/labels"
import { type Product, VIEWS } from "../url/urlState"
import { useUrlState } from "../url/useUrlState"
import classes from "./Breakdown.module.css"
import { Download } from "./controls/Download"
import { Filters } from "./controls/Filters"
import { PeriodPicker } from "./controls/PeriodPicker"
import { ShareLink } from "./controls/ShareLink"
import { breakdownQuery } from "./queries"
import { Summary } from "./Summary"
import { UsageTable } from "./table/UsageTable"
import { UsageTrend } from "./trend/UsageTrend"

const PRODUCTS = Object.keys(VIEWS) as Product[]

/** Usage of the chosen days by feature or agent: a tab per product, each with a chart and a table of the chosen view. */
export function Breakdown() {
  const [url, change] = useUrlState()
  const { data, error, isPlaceholderData, refetch } = useQuery(breakdownQuery(url))
  const product = url.product ?? "assistant"
  // Do not show another product's rows while this product's rows load.
  const shown = data?.product === product ? data : undefined
  const open = (tab: string | null) =>
    change(
      { product: tab === "assistant" ? undefined : (tab as Product), view: undefined, q: undefined, open: undefined },
      "push",
    )
  return (
    <section className={classes.panel} aria-labelledby="breakdown-title" data-testid="breakdown">
      <header className={classes.header}>
        <h2 id="breakdown-title">Usage breakdown</h2>
        <PeriodPicker range={data?.range} />
        <div className={classes.actions}>
          <ShareLink />
          <Download range={data?.range} />
        </div>
      </header>
      <Tabs value={product} onChange={open} keepMounted={false} classNames={{ list: classes.tabs }}>
        <Tabs.List aria-label="Product type">
          {PRODUCTS.map((tab, at) => (
            <Tabs.Tab key={tab} value={tab} aria-keyshortcuts={`${at + 1}`}>
              {PRODUCT_NAMES[tab]}
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
      </Tabs>
    </section>
  )
}
