import { CloseButton, TextInput } from "@mantine/core"
import { IconSearch } from "@tabler/icons-react"

interface Props {
  typed: string
  setTyped: (text: string) => void
}

export function SearchField({ typed, setTyped }: Props) {
  return (
    <TextInput
      aria-label="Search the table"
      aria-keyshortcuts="/"
      placeholder="Search"
      size="xs"
      w={220}
      maxLength={100}
      value={typed}
      onChange={(event) => setTyped(event.currentTarget.value)}
      leftSection={<IconSearch size={14} stroke={1.6} aria-hidden="true" />}
      rightSection={typed && <CloseButton size="xs" aria-label="Clear search" onClick={() => setTyped("")} />}
    />
  )
}
