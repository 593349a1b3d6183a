import { ActionIcon, Menu, Tooltip } from "@mantine/core"
import { IconChevronDown, IconDownload, IconFileSpreadsheet, IconReportMoney, IconTable } from "@tabler/icons-react"
import { writeSearch } from "../view/search"
import { useView } from "../view/useView"
import { apiQuery, rangeOf } from "../view/view"
import classes from "./Breakdown.module.css"

/** One click: the daily data of the shown range and filters. The caret offers the other files. */
export function Download() {
  const [view] = useView()
  const query = apiQuery(view)
  const { group_by: _grouping, categories: _categories, ...daily } = query
  const files = {
    usage: `/api/v1/export/usage.csv${writeSearch(daily)}`,
    table: `/api/v1/export/table.csv${writeSearch(query)}`,
    focus: `/api/v1/export/focus.csv${writeSearch({ ...rangeOf(view) })}`,
  }
  return (
    <ActionIcon.Group className={classes.download}>
      <Tooltip label="Download daily usage (.csv)">
        <ActionIcon
          component="a"
          href={files.usage}
          download
          variant="default"
          size={30}
          aria-label="Download daily usage (.csv)"
        >
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
          <FileItem href={files.usage} icon={<IconFileSpreadsheet size={18} stroke={1.5} />} name="Daily usage (.csv)">
            By feature, agent and surface (this view)
          </FileItem>
          <FileItem href={files.table} icon={<IconTable size={18} stroke={1.5} />} name="This table (.csv)">
            The rows below
          </FileItem>
          <FileItem href={files.focus} icon={<IconReportMoney size={18} stroke={1.5} />} name="FOCUS 1.2 (.csv)">
            All products in this range, for finance tools
          </FileItem>
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
