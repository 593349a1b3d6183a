import { Button, NativeSelect } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import classes from "../Connections.module.css"
import { type ReadyMade, readyMadeQuery } from "../queries"
import { quoted } from "../words"

interface Props {
  /** The selected name; empty: the first. */
  name: string
  setName: (name: string) => void
  use: (mapping: ReadyMade) => void
  /** Takes the text back that was replaced; undefined if none was. */
  undo: (() => void) | undefined
}

/** Replaces the text by a ready-made mapping. */
export function StartFrom({ name, setName, use, undo }: Props) {
  const { data } = useQuery(readyMadeQuery)
  const mappings = data?.mappings ?? []
  const chosen = mappings.find((each) => each.name === name) ?? mappings[0]
  if (!chosen) return null
  return (
    <div className={classes.start}>
      <NativeSelect
        label="Ready-made mapping"
        value={chosen.name}
        onChange={({ currentTarget }) => setName(currentTarget.value)}
        data={mappings.map((each) => ({ value: each.name, label: quoted(each.title) }))}
      />
      <div className={classes.actions}>
        <Button variant="default" size="xs" onClick={() => use(chosen)}>
          Use this mapping
        </Button>
        {undo && (
          <Button variant="subtle" size="xs" onClick={undo}>
            Undo
          </Button>
        )}
      </div>
    </div>
  )
}
