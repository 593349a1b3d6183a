import { ActionIcon, Menu, Tooltip } from "@mantine/core"
import {
  IconChevronDown,
  IconDownload,
  IconFileSpreadsheet,
  IconFilter,
  IconHistory,
  IconReportMoney,
  IconTable,
  IconUsers,
} from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import type { Schemas } from "../../api/client"
import { sessionQuery } from "../../api/queries"
import { useFormat } from "../../format/useFormat"
import { PRODUCT_NAMES, surfaceName, VIEW_NAMES } from "../../ui/labels"
import { writeSearch } from "../../url/search"
import { apiQuery, rangeOf } from "../../url/urlState"
import { useUrlState } from "../../url/useUrlState"
import classes from "../Breakdown.module.css"

/** One click downloads all usage of the shown range. The menu has files for Excel, of the shown rows, and in FOCUS format. */
export function Download({ range }: { range: Schemas["DateRange"] | undefined }) {
  const [url, change] = useUrlState()
  const format = useFormat()
  const showsPeople = useQuery(sessionQuery).data?.people !== "groups_only"
  const query = apiQuery(url)
  const { group_by: _grouping, categories: _categories, ...shown } = query
  const days = rangeOf(url)
  const files = {
    all: `/api/v1/export/usage.csv${writeSearch({ ...days })}`,
    excel: `/api/v1/export/usage.csv${writeSearch({ ...days, bom: "true" })}`,
    parquet: `/api/v1/export/usage.parquet${writeSearch({ ...days })}`,
    shown: `/api/v1/export/usage.csv${writeSearch(shown)}`,
    table: `/api/v1/export/table.csv${writeSearch(query)}`,
    people: `/api/v1/export/people.csv${writeSearch({ ...days })}`,
    peopleParquet: `/api/v1/export/people.parquet${writeSearch({ ...days })}`,
    focus: `/api/v1/export/focus.csv${writeSearch({ ...days })}`,
    focus14: `/api/v1/export/focus.csv${writeSearch({ ...days, version: "1.4" })}`,
    focusParquet: `/api/v1/export/focus.parquet${writeSearch({ ...days })}`,
    statements: `/api/v1/export/focus.csv${writeSearch({ ...days, version: "1.4", dataset: "invoice-detail" })}`,
  }
  const when = range ? format.days(range.from, range.to) : "the shown range"
  const filters = [
    `${PRODUCT_NAMES[query.product]} › ${VIEW_NAMES[query.view]}`,
    ...(query.surface ?? []).map(surfaceName),
    ...(query.actor || query.group || query.label ? ["selected people"] : []),
  ].join(", ")
  const label = `Download all usage of ${when} (.csv)`
  return (
    <ActionIcon.Group className={classes.download}>
      <Tooltip label={label}>
        <ActionIcon component="a" href={files.all} download variant="default" size={30} aria-label={label}>
          <IconDownload size={16} stroke={1.6} />
        </ActionIcon>
      </Tooltip>
      <Menu position="bottom-end" withinPortal width={310}>
        <Menu.Target>
          <ActionIcon variant="default" size={30} w={24} miw={24} aria-label="More formats">
            <IconChevronDown size={14} stroke={1.6} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>{when}</Menu.Label>
          <FileItem href={files.all} icon={<IconFileSpreadsheet size={18} stroke={1.5} />} name="All usage (.csv)">
            All products, a line per day, feature, agent and surface
          </FileItem>
          <FileItem
            href={files.excel}
            icon={<IconFileSpreadsheet size={18} stroke={1.5} />}
            name="All usage for Excel (.csv)"
          >
            The same, marked as UTF-8
          </FileItem>
          <FileItem
            href={files.parquet}
            icon={<IconFileSpreadsheet size={18} stroke={1.5} />}
            name="All usage (.parquet)"
          >
            The same with types, for notebooks and databases
          </FileItem>
          {!url.tab && (
            <>
              <FileItem href={files.shown} icon={<IconFilter size={18} stroke={1.5} />} name="Shown usage only (.csv)">
                {`${filters}: a line per day`}
              </FileItem>
              <FileItem href={files.table} icon={<IconTable size={18} stroke={1.5} />} name="This table (.csv)">
                {`${filters}: the rows below`}
              </FileItem>
            </>
          )}
          {url.tab === "people" && showsPeople && (
            <>
              <FileItem href={files.people} icon={<IconUsers size={18} stroke={1.5} />} name="Usage by person (.csv)">
                All products, a line per day, person, group, labels, feature and agent
              </FileItem>
              <FileItem
                href={files.peopleParquet}
                icon={<IconUsers size={18} stroke={1.5} />}
                name="Usage by person (.parquet)"
              >
                The same with types
              </FileItem>
            </>
          )}
          <FileItem href={files.focus14} icon={<IconReportMoney size={18} stroke={1.5} />} name="FOCUS 1.4 (.csv)">
            All products, for finance tools, with purchases of credits
          </FileItem>
          <FileItem
            href={files.focusParquet}
            icon={<IconReportMoney size={18} stroke={1.5} />}
            name="FOCUS 1.4 (.parquet)"
          >
            The same with types
          </FileItem>
          <FileItem
            href={files.statements}
            icon={<IconReportMoney size={18} stroke={1.5} />}
            name="FOCUS 1.4, invoice lines (.csv)"
          >
            The statements of the credit periods
          </FileItem>
          <FileItem href={files.focus} icon={<IconReportMoney size={18} stroke={1.5} />} name="FOCUS 1.2 (.csv)">
            All products, for finance tools
          </FileItem>
          <Menu.Divider />
          <Menu.Item
            leftSection={<IconHistory size={18} stroke={1.5} />}
            onClick={() => change({ panel: "exports" }, "push")}
          >
            Downloaded files
            <span className={classes.about}>What has changed since a file was made</span>
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </ActionIcon.Group>
  )
}

interface FileProps {
  href: string
  icon: React.ReactNode
  name: string
  children: string
}

function FileItem({ href, icon, name, children }: FileProps) {
  return (
    <Menu.Item component="a" href={href} download leftSection={icon}>
      {name}
      <span className={classes.about}>{children}</span>
    </Menu.Item>
  )
}
