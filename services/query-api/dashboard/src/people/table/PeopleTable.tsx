import { Button } from "@mantine/core"
import { useCallback, useMemo } from "react"
import type { Schemas } from "../../api/client"
import { Change } from "../../breakdown/table/Change"
import classes from "../../breakdown/table/UsageTable.module.css"
import { useFormat } from "../../format/useFormat"
import { CellHints } from "../../ui/CellHints"
import { ScrollRegion } from "../../ui/ScrollRegion"
import { useUrlState } from "../../url/useUrlState"
import { PeopleTableRow } from "./PeopleTableRow"
import { keyName, layOut, type PeopleLine, type PeopleRow } from "./rows"

interface Props {
  page: Schemas["People"]
  /** Of all pages so far. */
  rows: PeopleRow[]
  /** Loads the next page; undefined: there is none. */
  more: (() => void) | undefined
  isLoading: boolean
}

/** The rows, highest credits first, then those that are not a person, a group or a value. They add up to the total. */
export function PeopleTable({ page, rows, more, isLoading }: Props) {
  const [url, change] = useUrlState()
  const format = useFormat()
  // A search opens the rows that it finds.
  const opens = useMemo(() => {
    const toggled = new Set(url.open)
    return (path: string) => toggled.has(path) !== (url.q !== undefined)
  }, [url.open, url.q])
  const lines = useMemo(() => layOut(rows, opens), [rows, opens])
  const toggle = useCallback(
    (path: string) =>
      change(({ open = [] }) => {
        const after = open.includes(path) ? open.filter((other) => other !== path) : [...open, path]
        return { open: after.length > 0 ? after : undefined }
      }),
    [change],
  )
  const head = page.by === "label" ? keyName(page.label_key ?? "") : page.by === "group" ? "Group" : "Person"
  const caption = `Credits by ${head.toLowerCase()}, ${format.days(page.range.from, page.range.to)}`
  const hasPeople = page.by !== "person"
  const draw = (line: PeopleLine) => (
    <PeopleTableRow key={line.path} {...line} page={page} hasPeople={hasPeople} toggle={toggle} />
  )
  return (
    <ScrollRegion className={classes.scroll} label={caption}>
      <CellHints>
        <table className={classes.table} data-testid="people-table">
          <caption className="visually-hidden">{caption}</caption>
          <thead>
            <tr>
              <th scope="col">{head}</th>
              <th scope="col">Credits</th>
              <th scope="col">Share</th>
              {hasPeople && <th scope="col">People</th>}
              <th scope="col">Uses</th>
              <th scope="col">Change</th>
            </tr>
          </thead>
          <tbody>
            {lines.map(draw)}
            {url.q && lines.length === 0 && (
              <tr>
                <td colSpan={hasPeople ? 6 : 5}>Nothing found for “{url.q}”.</td>
              </tr>
            )}
            {more && (
              <tr>
                <td colSpan={hasPeople ? 6 : 5} className={classes.more}>
                  <Button variant="subtle" size="compact-sm" loading={isLoading} onClick={more}>
                    Show more
                  </Button>
                </td>
              </tr>
            )}
          </tbody>
          {page.pinned.length > 0 && <tbody className={classes.special}>{layOut(page.pinned, opens).map(draw)}</tbody>}
          <tfoot>
            <tr>
              <th scope="row">Total</th>
              <td data-hint={format.exact(page.total)}>{format.column(page.total)}</td>
              <td />
              {hasPeople && <td>{format.count(page.people)}</td>}
              <td>{format.count(page.events)}</td>
              <td>
                <Change credits={page.total} change={page.change} previous={page.previous} />
              </td>
            </tr>
          </tfoot>
        </table>
      </CellHints>
    </ScrollRegion>
  )
}
