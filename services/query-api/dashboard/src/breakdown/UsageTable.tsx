import { Button, CloseButton, Skeleton, TextInput } from "@mantine/core"
import { IconSearch } from "@tabler/icons-react"
import { useCallback, useDeferredValue, useMemo, useState } from "react"
import type { Schemas } from "../api/client"
import { useFormat } from "../shell/useFormat"
import { ScrollRegion } from "../ui/ScrollRegion"
import { useView } from "../view/useView"
import { VIEW_NAMES } from "../words"
import { Change } from "./Change"
import { ColumnHead } from "./ColumnHead"
import { Nothing } from "./Nothing"
import {
  type Column,
  isPinned,
  type Line,
  layOut,
  nextOrder,
  readOrder,
  searchRows,
  sortRows,
  writeOrder,
} from "./rows"
import { UsageRow } from "./UsageRow"
import classes from "./UsageTable.module.css"
import { useSearchText } from "./useSearchText"

/** Lines, with those inside of open rows: a search may open more than a browser draws in no time. */
const SHOWN_AT_FIRST = 50

export function UsageTable({ breakdown }: { breakdown: Schemas["Breakdown"] | undefined }) {
  const [view, change] = useView()
  const format = useFormat()
  const [shown, setShown] = useState(SHOWN_AT_FIRST)
  const [typed, setTyped] = useSearchText()
  const text = useDeferredValue(typed.trim())
  const [closed, setClosed] = useState<Toggled>({ text, paths: [] })
  const order = readOrder(view.sort)
  const { by, descending } = order
  const rows = useMemo(() => {
    const found = searchRows(breakdown?.rows ?? [], text, format.locale)
    return sortRows(found, { by, descending }, format.locale)
  }, [breakdown, text, by, descending, format.locale])
  // A search opens what it finds; what is closed then is closed for that search only.
  const toggle = useCallback(
    (path: string) => {
      if (text) setClosed((before) => ({ text, paths: flip(before.text === text ? before.paths : [], path) }))
      else change(({ open = [] }) => ({ open: orNothing(flip(open, path)) }))
    },
    [text, change],
  )
  if (!breakdown) return <Skeleton height={320} radius="md" />
  if (breakdown.rows.length === 0) return <Nothing breakdown={breakdown} />

  const toggled = new Set(text ? (closed.text === text ? closed.paths : []) : view.open)
  const opens = (path: string) => toggled.has(path) !== (text !== "")
  const usual = layOut(
    rows.filter((row) => !isPinned(row)),
    opens,
  )
  const special = layOut(rows.filter(isPinned), opens)
  const draw = (line: Line) => <UsageRow key={line.path} {...line} toggle={toggle} />
  const shownBy = view.group_by ? "surface" : VIEW_NAMES[breakdown.view].toLowerCase()
  const caption = `Credits by ${shownBy}, ${format.days(breakdown.range.from, breakdown.range.to)}`
  const head = {
    order,
    choose: (column: Column) => change({ sort: writeOrder(nextOrder(order, column)) }),
  }
  return (
    <div className={classes.block}>
      <div className={classes.tools}>
        <TextInput
          aria-label="Search the table"
          aria-keyshortcuts="/"
          placeholder="Search"
          size="xs"
          w={220}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          leftSection={<IconSearch size={14} stroke={1.6} aria-hidden="true" />}
          rightSection={typed && <CloseButton size="xs" aria-label="Clear the search" onClick={() => setTyped("")} />}
        />
        <span className={classes.count} role="status">
          {text
            ? `${format.count(rows.length)} of ${format.count(breakdown.rows.length)} rows`
            : `${format.count(rows.length)} ${rows.length === 1 ? "row" : "rows"}`}
        </span>
      </div>
      <ScrollRegion className={classes.scroll} label={caption}>
        <table className={classes.table} data-testid="usage-table">
          <caption className="visually-hidden">{caption}</caption>
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
            {usual.slice(0, shown).map(draw)}
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
          {special.length > 0 && <tbody className={classes.special}>{special.map(draw)}</tbody>}
          <tfoot>
            <tr>
              <th scope="row">Total{text && " of all rows"}</th>
              <td title={format.exact(breakdown.total)}>{format.column(breakdown.total)}</td>
              <td />
              <td>{format.count(breakdown.events)}</td>
              <td>
                <Change {...breakdown} credits={breakdown.total} />
              </td>
            </tr>
          </tfoot>
        </table>
      </ScrollRegion>
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

/** Rows that are not as they are by themselves, while a text is searched for. */
interface Toggled {
  text: string
  paths: string[]
}

function flip(paths: readonly string[], path: string): string[] {
  return paths.includes(path) ? paths.filter((other) => other !== path) : [...paths, path]
}

function orNothing(paths: string[]): string[] | undefined {
  return paths.length > 0 ? paths : undefined
}
