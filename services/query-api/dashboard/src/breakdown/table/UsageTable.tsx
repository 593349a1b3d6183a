import { Button, Skeleton } from "@mantine/core"
import { useCallback, useDeferredValue, useMemo, useState } from "react"
import type { Schemas } from "../../api/client"
import { LANGUAGE } from "../../format/format"
import { useFormat } from "../../format/useFormat"
import { CellHints } from "../../ui/CellHints"
import { inSentence, PLURALS, ROW_NAMES } from "../../ui/labels"
import { ScrollRegion } from "../../ui/ScrollRegion"
import { useUrlState } from "../../url/useUrlState"
import { SearchField } from "../controls/SearchField"
import { useSearchText } from "../controls/useSearchText"
import { EmptyView } from "../EmptyView"
import { Change } from "./Change"
import { ColumnHead } from "./ColumnHead"
import {
  type Column,
  isPinned,
  isUnused,
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

/** Lines, including those inside open rows. A search may open more lines than a browser can draw quickly. */
const SHOWN_AT_FIRST = 50

export function UsageTable({ breakdown }: { breakdown: Schemas["Breakdown"] | undefined }) {
  const [url, change] = useUrlState()
  const format = useFormat()
  const [shown, setShown] = useState(SHOWN_AT_FIRST)
  const [showsUnused, setShowsUnused] = useState(false)
  const [typed, setTyped] = useSearchText()
  const text = useDeferredValue(typed.trim())
  const [closed, setClosed] = useState<Toggled>({ text, paths: [] })
  const order = readOrder(url.sort)
  const { by, descending } = order
  const rows = useMemo(() => {
    const found = searchRows(breakdown?.rows ?? [], text, LANGUAGE)
    return sortRows(found, { by, descending }, LANGUAGE)
  }, [breakdown, text, by, descending])
  // A search opens the rows that it finds. Rows that the user closes then are closed for that search only.
  const toggle = useCallback(
    (path: string) => {
      if (text) setClosed((before) => ({ text, paths: flip(before.text === text ? before.paths : [], path) }))
      else change(({ open = [] }) => ({ open: orNothing(flip(open, path)) }))
    },
    [text, change],
  )
  if (!breakdown) return <Skeleton height={320} radius="md" />
  if (breakdown.rows.length === 0) return <EmptyView breakdown={breakdown} />

  const toggled = new Set(text ? (closed.text === text ? closed.paths : []) : url.open)
  const opens = (path: string) => toggled.has(path) !== (text !== "")
  const own = rows.filter((row) => !isPinned(row))
  // Rows with usage only in the previous range are hidden, because many zeros would bury the used rows. Sorting by change or a
  // search shows them.
  const folded = text || by === "change" || showsUnused ? [] : own.filter(isUnused)
  const usual = layOut(folded.length > 1 ? own.filter((row) => !isUnused(row)) : own, opens)
  const special = layOut(rows.filter(isPinned), opens)
  const draw = (line: Line) => <UsageRow key={line.path} {...line} toggle={toggle} />
  const shownBy = url.group_by ? "surface" : inSentence(ROW_NAMES[breakdown.view])
  const caption = `Credits by ${shownBy}, ${format.days(breakdown.range.from, breakdown.range.to)}`
  const head = {
    order,
    choose: (column: Column) => change({ sort: writeOrder(nextOrder(order, column)) }),
  }
  return (
    <div className={classes.block}>
      <div className={classes.tools}>
        <SearchField typed={typed} setTyped={setTyped} />
        <span className={classes.count} role="status">
          {text
            ? `${format.count(rows.length)} of ${format.count(breakdown.rows.length)} rows`
            : `${format.count(rows.length)} ${rows.length === 1 ? "row" : "rows"}`}
        </span>
      </div>
      <ScrollRegion className={classes.scroll} label={caption}>
        <CellHints>
          <table className={classes.table} data-testid="usage-table">
            <caption className="visually-hidden">{caption}</caption>
            <thead>
              <tr>
                <ColumnHead {...head} column="name">
                  {url.group_by ? "Surface" : ROW_NAMES[breakdown.view]}
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
              {folded.length > 1 && usual.length <= shown && (
                <tr>
                  <td colSpan={5} className={classes.more}>
                    <Button variant="subtle" size="compact-sm" onClick={() => setShowsUnused(true)}>
                      Show {format.count(folded.length)} with no usage in this period
                    </Button>
                  </td>
                </tr>
              )}
              {rows.length === 0 && (
                <tr>
                  <td colSpan={5} className={classes.more}>
                    No {url.group_by ? "surfaces" : PLURALS[breakdown.view]} match “{text}”.
                  </td>
                </tr>
              )}
            </tbody>
            {special.length > 0 && <tbody className={classes.special}>{special.map(draw)}</tbody>}
            <tfoot>
              <tr>
                <th scope="row">Total{text && ` (all ${format.count(breakdown.rows.length)} rows)`}</th>
                <td data-hint={format.exact(breakdown.total)}>{format.column(breakdown.total)}</td>
                <td />
                <td>{format.count(breakdown.events)}</td>
                <td>
                  <Change {...breakdown} credits={breakdown.total} />
                </td>
              </tr>
            </tfoot>
          </table>
        </CellHints>
      </ScrollRegion>
    </div>
  )
}

/** Rows that the user toggled during a search. */
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
