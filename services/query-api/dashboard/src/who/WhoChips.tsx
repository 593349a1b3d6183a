import { CloseButton } from "@mantine/core"
import { IconTag, IconUser, IconUsersGroup } from "@tabler/icons-react"
import { useQuery } from "@tanstack/react-query"
import type { ReactNode } from "react"
import { sessionQuery } from "../api/queries"
import { useUrlState } from "../url/useUrlState"
import { labelName } from "./names"
import { whoNameQuery } from "./queries"
import classes from "./WhoChips.module.css"

/** The filters by person, group and label, and others of the tab; each can be removed. */
export function WhoChips({ children }: { children?: ReactNode }) {
  const [url, change] = useUrlState()
  if (!url.actor && !url.group && !url.label && !children) return null
  return (
    <ul className={classes.chips} aria-label="Filters">
      {url.actor && (
        <Chip kind="person" icon={<IconUser {...ICON} />} remove={() => change({ actor: undefined }, "push")}>
          <Name kind="actor" id={url.actor} />
        </Chip>
      )}
      {url.group && (
        <Chip kind="group" icon={<IconUsersGroup {...ICON} />} remove={() => change({ group: undefined }, "push")}>
          <Name kind="group" id={url.group} />
        </Chip>
      )}
      {url.label && (
        <Chip kind="label" icon={<IconTag {...ICON} />} remove={() => change({ label: undefined }, "push")}>
          {labelName(url.label)}
        </Chip>
      )}
      {children}
    </ul>
  )
}

export const ICON = { size: 14, stroke: 1.6, "aria-hidden": true }

interface ChipProps {
  kind: string
  icon: ReactNode
  remove: () => void
  children: ReactNode
}

export function Chip({ kind, icon, remove, children }: ChipProps) {
  return (
    <li>
      {icon}
      <span>{children}</span>
      <CloseButton size="xs" aria-label={`Remove the filter by ${kind}`} onClick={remove} />
    </li>
  )
}

function Name({ kind, id }: { kind: "actor" | "group"; id: string }) {
  const [url] = useUrlState()
  const mode = useQuery(sessionQuery).data?.people
  return useQuery(whoNameQuery(kind, id, url, mode)).data ?? id
}
