import { ActionIcon, Tooltip } from "@mantine/core"
import { useClipboard } from "@mantine/hooks"
import { IconCheck, IconLink } from "@tabler/icons-react"

/** Copies the URL, which contains the complete view. */
export function ShareLink() {
  const { copy, copied } = useClipboard({ timeout: 2_000 })
  const label = copied ? "Copied" : "Copy a link to this view"
  const Icon = copied ? IconCheck : IconLink
  return (
    <Tooltip label={label}>
      <ActionIcon variant="default" size={30} aria-label={label} onClick={() => copy(location.href)}>
        <Icon size={16} stroke={1.6} />
      </ActionIcon>
    </Tooltip>
  )
}
