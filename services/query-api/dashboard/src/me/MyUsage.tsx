import { SegmentedControl, Skeleton } from "@mantine/core"
import { IconArrowLeft } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import { useNavigate, useSearch } from "@tanstack/react-router"
import type { Schemas } from "../api/client"
import { sessionQuery } from "../api/queries"
import summary from "../breakdown/Summary.module.css"
import { todayIn } from "../format/dates"
import { useFormat } from "../format/useFormat"
import { Failure } from "../ui/Failure"
import { Hint } from "../ui/Hint"
import { PRODUCT_NAMES } from "../ui/labels"
import { DayBars } from "./DayBars"
import { rangesOf } from "./days"
import { MyTable } from "./MyTable"
import classes from "./MyUsage.module.css"
import { myUsageQuery } from "./queries"

/** The signed-in person's own usage; also for those who do not see the dashboard. */
export default function MyUsage() {
  const session = useQuery(sessionQuery).data
  const search = useSearch({ from: "/me" })
  const navigate = useNavigate({ from: "/me" })
  const format = useFormat()
  const ranges = rangesOf(todayIn(format.timeZone))
  const chosen = ranges.find(({ range }) => range.from === search.from && range.to === search.to)
  const range = search.from || search.credit_period || search.range ? search : (ranges[0]?.range ?? {})
  const { data, error, refetch } = useQuery(myUsageQuery(range))
  return (
    <div className={classes.page}>
      <header className={classes.header}>
        <h1>My usage</h1>
        {session?.refusal_reason === null && (
          <a href="/">
            <IconArrowLeft size={15} stroke={1.8} aria-hidden="true" />
            Usage of the organization
          </a>
        )}
      </header>
      <SegmentedControl
        aria-label="Range"
        size="xs"
        className={classes.ranges}
        value={chosen?.name ?? (range === search ? "" : (ranges[0]?.name ?? ""))}
        onChange={(name) =>
          void navigate({ search: ranges.find((each) => each.name === name)?.range ?? {}, resetScroll: false })
        }
        data={ranges.map(({ name }) => name)}
      />
      {data ? (
        <Shown usage={data} isReader={session?.refusal_reason === null} />
      ) : error ? (
        <Failure error={error} retry={refetch} />
      ) : (
        <Skeleton height={420} />
      )}
    </div>
  )
}

/** `isReader`: the person may read the dashboard, so each run can be opened there. */
function Shown({ usage, isReader }: { usage: Schemas["MyUsage"]; isReader: boolean }) {
  const format = useFormat()
  return (
    <>
      <section className={classes.panel} aria-label="Summary">
        <dl className={summary.figures}>
          <div>
            <dt>Credits</dt>
            <dd>
              <Hint plain label={format.exact(usage.credits)} testId="my-total">
                {format.column(usage.credits)}
              </Hint>
            </dd>
          </div>
          <div>
            <dt>Uses</dt>
            <dd>{format.count(usage.events)}</dd>
          </div>
          {usage.products
            .filter(({ events }) => events > 0)
            .map(({ product, credits }) => (
              <div key={product}>
                <dt>{PRODUCT_NAMES[product]}</dt>
                <dd>{format.credits(credits)}</dd>
              </div>
            ))}
        </dl>
        {usage.note !== null && <p className={classes.note}>{usage.note}</p>}
        {usage.events > 0 && <DayBars usage={usage} />}
        <p className={classes.note}>Only you see this page. Usage of the last 3 days can still change.</p>
      </section>
      <MyTable
        title="Models, tools and features"
        head="Name"
        rows={usage.features.map(({ product, feature_kind, feature, name, credits, events }) => ({
          key: `${product}/${feature_kind}/${feature}`,
          name,
          about: PRODUCT_NAMES[product],
          credits,
          events,
        }))}
      />
      <MyTable
        title="Agents"
        head="Agent"
        rows={usage.agents.map(({ id, name, credits, events }) => ({ key: id, name, credits, events }))}
      />
      <MyTable
        title="Latest runs"
        head="Run"
        rows={usage.runs.map(({ id, key, agent, first_at, credits, events }) => ({
          key: id,
          name: agent ?? "Conversation",
          href: isReader ? `/?tab=runs&panel=run&run=${key}` : undefined,
          about: format.moment(new Date(first_at)),
          credits,
          events,
        }))}
      />
    </>
  )
}
