import { Button } from "@mantine/core"
import { useState } from "react"
import table from "../breakdown/table/UsageTable.module.css"
import { useFormat } from "../format/useFormat"
import { CellHints } from "../ui/CellHints"
import { ScrollRegion } from "../ui/ScrollRegion"
import classes from "./MyUsage.module.css"

const SHOWN_AT_FIRST = 10

interface Props {
  title: string
  head: string
  rows: { key: string; name: string; about?: string; href?: string | undefined; credits: string; events: number }[]
}

export function MyTable({ title, head, rows }: Props) {
  const format = useFormat()
  const [isWhole, setWhole] = useState(false)
  if (rows.length === 0) return null
  const shown = isWhole ? rows : rows.slice(0, SHOWN_AT_FIRST)
  return (
    <div className={classes.panel}>
      <h2>{title}</h2>
      <ScrollRegion className={table.scroll} label={title}>
        <CellHints>
          <table className={table.table}>
            <caption className="visually-hidden">{title}</caption>
            <thead>
              <tr>
                <th scope="col">{head}</th>
                <th scope="col">Credits</th>
                <th scope="col">Uses</th>
              </tr>
            </thead>
            <tbody>
              {shown.map(({ key, name, about, href, credits, events }) => (
                <tr key={key}>
                  <th scope="row">
                    <div className={table.line}>
                      {href ? <a href={href}>{name}</a> : <span>{name}</span>}
                      {about && <span className={classes.about}>{about}</span>}
                    </div>
                  </th>
                  <td data-hint={format.exact(credits)}>{format.column(credits)}</td>
                  <td>{format.count(events)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </CellHints>
      </ScrollRegion>
      {shown.length < rows.length && (
        <Button variant="subtle" size="compact-sm" onClick={() => setWhole(true)}>
          Show all {format.count(rows.length)}
        </Button>
      )}
    </div>
  )
}
