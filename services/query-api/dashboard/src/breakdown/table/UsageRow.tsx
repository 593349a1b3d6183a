import { UnstyledButton } from "@mantine/core"
import { IconChevronRight } from "@tabler/icons-react"
import { memo } from "react"
import { useFormat } from "../../format/useFormat"
import { surfaceName } from "../../ui/labels"
import { DriversButton } from "../../who/DriversButton"
import { writeOf } from "../../who/driven"
import { Change } from "./Change"
import { EXPLAINED, isUnused, type Line } from "./rows"
import classes from "./UsageTable.module.css"

interface Props extends Line {
  toggle: (path: string) => void
}

/** Memoized: a table may have hundreds of rows. */
export const UsageRow = memo(function UsageRow({ row, path, depth, isOpen, isTwin, toggle }: Props) {
  const format = useFormat()
  const name = row.kind === "surface" ? surfaceName(row.id) : row.name
  const explained = EXPLAINED[row.kind]
  const share = Math.max(0, Math.min(1, Number(row.share)))
  return (
    <tr data-kind={row.kind} data-depth={depth} data-gone={isUnused(row)}>
      <th scope="row" style={{ paddingInlineStart: `${depth * 1.25 + 1.125}rem` }}>
        <div className={classes.line}>
          {row.rows.length > 0 ? (
            <UnstyledButton className={classes.expand} aria-expanded={isOpen} onClick={() => toggle(path)}>
              <IconChevronRight size={14} stroke={1.8} aria-hidden="true" />
              {name}
            </UnstyledButton>
          ) : (
            <span>{name}</span>
          )}
          {isTwin && row.id !== name && <span className={classes.id}>{row.id}</span>}
          {row.kind === "system" && <span className={classes.tag}>System</span>}
          <span className={classes.actions}>
            <DriversButton of={writeOf(row)} />
          </span>
        </div>
        {explained && depth === 0 && <span className={classes.explained}>{explained}</span>}
      </th>
      <td data-hint={format.exact(row.credits)}>{format.column(row.credits)}</td>
      <td>
        <span className={classes.share}>
          <span className={classes.shareBar} aria-hidden="true">
            <span style={{ width: `${share * 100}%` }} />
          </span>
          <span>{format.share(row.share)}</span>
        </span>
      </td>
      <td>{format.count(row.events)}</td>
      <td>
        <Change {...row} />
      </td>
    </tr>
  )
})
