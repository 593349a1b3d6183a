import { Button, CloseButton, Skeleton, TextInput } from "@mantine/core"
import { IconSearch } from "@tabler/icons-react"
import { Fragment, useDeferredValue, useMemo, useState } from "react"
import type { Schemas } from "../api/client"
import { useFormat } from "../shell/useFormat"
import { useView } from "../view/useView"
import { VIEW_NAMES } from "../words"
import { Change } from "./Change"
import { ColumnHead } from "./ColumnHead"
import { DeletedAgents } from "./DeletedAgents"
import { isPinned, layOut, nextOrder, readOrder, searchRows, sortRows, writeOrder } from "./rows"
import { UsageRow } from "./UsageRow"
import classes from "./UsageTable.module.css"

const SHOWN_AT_FIRST = 50

export function UsageTable({ breakdown }: { breakdown: Schemas["Breakdown"] | undefined }) {
  const [view, change] = useView()
  const format = useFormat()
  const [shown, setShown] = useState(SHOWN_AT_FIRST)
  const text = useDeferredValue(view.q ?? "")
  const order = readOrder(view.sort)
  const { by, descending } = order
  const rows = useMemo(() => {
    const found = searchRows(breakdown?.rows ?? [], text, format.locale)
    return sortRows(found, { by, descending }, format.locale)
  }, [breakdown, text, by, descending, format.locale])
  if (!breakdown) return <Skeleton height={320} radius="md" />
  if (breakdown.rows.length === 0) return <Nothing breakdown={breakdown} />

  const usual = rows.filter((row) => !isPinned(row))
  const special = rows.filter(isPinned)
  const open = new Set(view.open)
  const toggle = (key: string) => {
    if (!open.delete(key)) open.add(key)
    change({ open: open.size > 0 ? [...open] : undefined })
  }
  const listsDeleted = breakdown.view === "agents" && !breakdown.group_by
  const lines = (some: typeof rows) =>
    layOut(some, open, text !== "").map((line) => {
      const opens = listsDeleted && line.row.kind === "deleted"
      const isOpen = line.isOpen || (opens && open.has(line.key))
      return (
        <Fragment key={line.key}>
          <UsageRow line={{ ...line, isOpen }} opens={opens} toggle={toggle} />
          {opens && isOpen && <DeletedAgents total={breakdown.total} />}
        </Fragment>
      )
    })
  const head = {
    order,
    choose: (column: Parameters<typeof nextOrder>[1]) => change({ sort: writeOrder(nextOrder(order, column)) }),
  }
  return (
    <div className={classes.block}>
      <div className={classes.tools}>
        <TextInput
          aria-label="Search the table"
          placeholder="Search"
          size="xs"
          w={220}
          value={view.q ?? ""}
          onChange={(event) => change({ q: event.currentTarget.value || undefined })}
          leftSection={<IconSearch size={14} stroke={1.6} aria-hidden="true" />}
          rightSection={
            view.q && <CloseButton size="xs" aria-label="Clear the search" onClick={() => change({ q: undefined })} />
          }
        />
        <span className={classes.count} role="status">
          {text
            ? `${format.count(rows.length)} of ${format.count(breakdown.rows.length)} rows`
            : `${format.count(rows.length)} ${rows.length === 1 ? "row" : "rows"}`}
        </span>
      </div>
      <div className={classes.scroll}>
        <table className={classes.table} data-testid="usage-table">
          <caption className="visually-hidden">
            Credits by {(view.group_by ? "surface" : VIEW_NAMES[breakdown.view]).toLowerCase()},{" "}
            {format.days(breakdown.range.from, breakdown.range.to)}
          </caption>
          <thead>
            <tr>
              <ColumnHead {...head} column="name">
                {view.group_by ? "Surface" : NAMED[breakdown.view]}
              </ColumnHead>
              <ColumnHead {...head} column="credits">
                Credits
              </ColumnHead>
              <ColumnHead {...head} column="share">
                Share
              </ColumnHead>
              <ColumnHead {...head} column="uses">
                Uses
              </ColumnHead>
              <ColumnHead {...head} column="change">
                Change
              </ColumnHead>
            </tr>
          </thead>
          <tbody>
            {lines(usual.slice(0, shown))}
            {usual.length > shown && (
              <tr>
                <td colSpan={5} className={classes.more}>
                  <Button variant="subtle" size="compact-sm" onClick={() => setShown(shown * 4)}>
                    Show {format.count(Math.min(shown * 3, usual.length - shown))} more of{" "}
                    {format.count(usual.length - shown)}
                  </Button>
                </td>
              </tr>
            )}
            {rows.length === 0 && (
              <tr>
                <td colSpan={5} className={classes.more}>
                  Nothing here is called “{text}”.
                </td>
              </tr>
            )}
          </tbody>
          {special.length > 0 && <tbody className={classes.special}>{lines(special)}</tbody>}
          <tfoot>
            <tr>
              <th scope="row">Total{text && " of all rows"}</th>
              <td title={format.exact(breakdown.total)}>{format.column(breakdown.total)}</td>
              <td />
              <td>{format.count(breakdown.events)}</td>
              <td>
                <Change change={breakdown.change} previous={breakdown.previous} />
              </td>
            </tr>
          </tfoot>
        </table>
      </div>
    </div>
  )
}

const NAMED: Record<Schemas["Breakdown"]["view"], string> = {
  models: "Model",
  tools: "Tool",
  other_features: "Feature",
  agents: "Agent",
  features: "Feature",
  namespaces: "API or namespace",
}

/** Says that nothing was used, and stays: an empty view is an answer. */
function Nothing({ breakdown }: { breakdown: Schemas["Breakdown"] }) {
  const [view, change] = useView()
  const format = useFormat()
  return (
    <div className={classes.nothing} data-testid="empty">
      <strong>No usage in this view</strong>
      <p>
        {VIEW_NAMES[breakdown.view]}, {format.days(breakdown.range.from, breakdown.range.to)}
        {view.surface ? ", on the chosen surfaces" : ""}. Usage appears here a moment after it happens.
      </p>
      {view.surface && (
        <Button variant="default" size="xs" onClick={() => change({ surface: undefined })}>
          All surfaces
        </Button>
      )}
    </div>
  )
}
