import { ActionIcon, Tooltip, UnstyledButton } from "@mantine/core"
import { IconChevronRight, IconFilter } from "@tabler/icons-react"
import { memo } from "react"
import type { Schemas } from "../../api/client"
import { Change } from "../../breakdown/table/Change"
import classes from "../../breakdown/table/UsageTable.module.css"
import { useFormat } from "../../format/useFormat"
import { useUrlState } from "../../url/useUrlState"
import { Reveal } from "./Reveal"
import { explain, filterBy, type PeopleLine } from "./rows"

interface Props extends PeopleLine {
  page: Schemas["People"]
  hasPeople: boolean
  toggle: (path: string) => void
}

/** Memoized: a table may have hundreds of rows. */
export const PeopleTableRow = memo(function PeopleTableRow({
  row,
  path,
  depth,
  isOpen,
  page,
  hasPeople,
  toggle,
}: Props) {
  const format = useFormat()
  const name = row.kind === "own" ? `Directly in ${row.name}` : row.name
  const explained = explain(row.kind, page.by)
  const share = Math.max(0, Math.min(1, Number(row.share)))
  return (
    <tr data-kind={row.kind} data-depth={depth}>
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
          {row.kind === "service_account" && <span className={classes.tag}>Service account</span>}
          <span className={classes.actions}>
            <FilterButton row={row} name={name} labelKey={page.label_key} />
            {row.kind === "person" && page.people_mode === "pseudonymous" && <Reveal alias={row.id} />}
          </span>
        </div>
        {explained && <span className={classes.explained}>{explained}</span>}
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
      {hasPeople && <td>{row.people > 0 ? format.count(row.people) : "–"}</td>}
      <td>{format.count(row.events)}</td>
      <td>
        <Change credits={row.credits} change={row.change} previous={row.previous} />
      </td>
    </tr>
  )
})

interface FilterProps {
  row: PeopleLine["row"]
  name: string
  labelKey: string | null
}

function FilterButton({ row, name, labelKey }: FilterProps) {
  const [url, change] = useUrlState()
  const filter = filterBy(row, labelKey, url)
  if (!filter) return null
  const label = filter.actor ? `Show what ${name} uses` : `Show the people of ${name}`
  return (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" size={20} aria-label={label} onClick={() => change(filter, "push")}>
        <IconFilter size={14} stroke={1.6} />
      </ActionIcon>
    </Tooltip>
  )
}
