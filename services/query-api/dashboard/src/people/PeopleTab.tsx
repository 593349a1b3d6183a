import { NativeSelect, SegmentedControl, Skeleton, Switch } from "@mantine/core"
import { useInfiniteQuery, useQuery } from "@tanstack/react-query"
import type { Schemas } from "../api/client"
import { sessionQuery } from "../api/queries"
import breakdown from "../breakdown/Breakdown.module.css"
import { SearchField } from "../breakdown/controls/SearchField"
import { useSearchText } from "../breakdown/controls/useSearchText"
import { Failure } from "../ui/Failure"
import { Hint } from "../ui/Hint"
import { PRODUCT_NAMES } from "../ui/labels"
import type { Product } from "../url/urlState"
import { useUrlState } from "../url/useUrlState"
import { WhoChips } from "../who/WhoChips"
import { Distribution } from "./Distribution"
import { Movers } from "./Movers"
import classes from "./People.module.css"
import { PeopleSummary } from "./PeopleSummary"
import { type PeopleMode, peopleQuery, viewOf } from "./queries"
import { PeopleTable } from "./table/PeopleTable"
import { keyName, namesNone, rowsOf } from "./table/rows"

/** Usage by person, group or label, of all products or of one. */
export default function PeopleTab() {
  const [url] = useUrlState()
  const session = useQuery(sessionQuery).data
  const mode = session?.people ?? "named"
  const query = useInfiniteQuery(peopleQuery(url, mode))
  const { data, error, refetch } = query
  const page = data?.pages.at(-1)
  return (
    <>
      <Controls mode={mode} labelKeys={page?.label_keys ?? []} />
      {mode !== "named" && <p className={classes.note}>{PRIVACY[mode]}</p>}
      {error && !page ? (
        <Failure error={error} retry={() => void refetch()} />
      ) : !page ? (
        <Skeleton height={420} radius="md" />
      ) : !url.q && namesNone(page) ? (
        <NoPeople page={page} />
      ) : (
        <>
          <PeopleSummary page={page} />
          {(page.bands.some(({ people }) => people > 0) || page.movers.length > 0) && (
            <div className={classes.insights}>
              <Distribution bands={page.bands} />
              <Movers movers={page.movers} previous={page.previous_range} />
            </div>
          )}
          <PeopleTable
            page={page}
            rows={rowsOf(data?.pages ?? [])}
            more={query.hasNextPage ? () => void query.fetchNextPage() : undefined}
            isLoading={query.isFetchingNextPage}
          />
        </>
      )}
    </>
  )
}

const PRIVACY = {
  pseudonymous:
    "Your organization shows aliases instead of names. A Super Admin can reveal one; the audit log records it.",
  groups_only: "Your organization shows usage by group only. Groups of fewer than five people are shown together.",
} as const

function Controls({ mode, labelKeys }: { mode: PeopleMode; labelKeys: string[] }) {
  const [url, change] = useUrlState()
  const { by, label_key } = viewOf(url, mode)
  const keys = label_key && !labelKeys.includes(label_key) ? [...labelKeys, label_key] : labelKeys
  const views = [
    ...(mode === "groups_only" ? [] : [{ value: "person", label: "People" }]),
    { value: "group", label: "Groups" },
    ...keys.map((key) => ({ value: `label:${key}`, label: keyName(key) })),
  ]
  const [first] = views
  const [typed, setTyped] = useSearchText()
  const choose = (value: string) => {
    const chosen = value.startsWith("label:")
      ? { by: "label" as const, label_key: value.slice("label:".length) }
      : { by: value === first?.value ? undefined : (value as "person" | "group"), label_key: undefined }
    change({ ...chosen, open: undefined, q: undefined }, "push")
  }
  const value = by === "label" ? `label:${label_key}` : by
  return (
    <div className={breakdown.filters}>
      {views.length <= SEGMENTS_MAX ? (
        <SegmentedControl aria-label="View by" size="xs" value={value} onChange={choose} data={views} />
      ) : (
        <NativeSelect
          aria-label="View by"
          size="xs"
          value={value}
          onChange={(event) => choose(event.currentTarget.value)}
          data={views}
        />
      )}
      <NativeSelect
        aria-label="Product"
        size="xs"
        value={url.product ?? ""}
        onChange={(event) =>
          change({ product: (event.currentTarget.value as Product) || undefined, view: undefined, open: undefined })
        }
        data={[{ value: "", label: "All products" }, ...PRODUCTS]}
      />
      {mode !== "groups_only" && (by === "group" || url.group) && (
        <Switch
          size="xs"
          label={
            <Hint label="Shows older usage in the groups that people are in today instead of those at the time">
              Use current groups
            </Hint>
          }
          aria-label="Use current groups"
          checked={url.membership === "now"}
          onChange={(event) => change({ membership: event.currentTarget.checked ? "now" : undefined })}
        />
      )}
      <SearchField typed={typed} setTyped={setTyped} />
      <WhoChips />
    </div>
  )
}

/** More views than this do not fit into one row. */
const SEGMENTS_MAX = 5

const PRODUCTS = Object.entries(PRODUCT_NAMES).map(([value, label]) => ({ value, label }))

function NoPeople({ page }: { page: Schemas["People"] }) {
  const isFiltered = useIsFiltered()
  return (
    <p className={classes.nothing} data-testid="no-people">
      {page.events === 0
        ? "No usage in this range and with these filters."
        : isFiltered
          ? "None of this usage names who used it."
          : "Usage in this range names no people: products send who used them as “actor” of each usage event."}
    </p>
  )
}

function useIsFiltered(): boolean {
  const [{ product, surface, actor, group, label }] = useUrlState()
  return [product, surface, actor, group, label].some((filter) => filter !== undefined)
}
