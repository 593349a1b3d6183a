import { ActionIcon } from "@mantine/core"
import { IconUsers } from "@tabler/icons-react"
import { useChangeUrl } from "../url/useUrlState"

/** Opens the panel of the people who use an agent or a feature. `of`: its row; undefined for rows that combine several. */
export function DriversButton({ of }: { of: string | undefined }) {
  const change = useChangeUrl()
  if (!of) return null
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size={20}
      aria-label="Who uses this"
      title="Who uses this"
      onClick={() => change({ panel: "drivers", of }, "push")}
    >
      <IconUsers size={14} stroke={1.6} />
    </ActionIcon>
  )
}
