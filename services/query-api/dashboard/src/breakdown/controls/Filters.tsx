import { Button, Checkbox, Popover, SegmentedControl, Switch } from "@mantine/core"
import { IconChevronDown } from "@tabler/icons-react"
import { Hint } from "../../ui/Hint"
import { surfaceName, VIEW_NAMES } from "../../ui/labels"
import { VIEWS, type ViewBy } from "../../url/urlState"
import { useUrlState } from "../../url/useUrlState"
import { WhoChips } from "../../who/WhoChips"
import classes from "../Breakdown.module.css"

/** The table's filters: view, surfaces, categories. */
export function Filters({ surfaces }: { surfaces: string[] | undefined }) {
  const [url, change] = useUrlState()
  const product = url.product ?? "assistant"
  const views = VIEWS[product]
  const shown = url.view ?? views[0]
  const byCategory = shown === "tools" || shown === "other_features" || shown === "features"
  return (
    <div className={classes.filters}>
      {views.length > 1 && (
        <SegmentedControl
          aria-label="View by"
          size="xs"
          value={shown}
          onChange={(value) =>
            change({ view: value === views[0] ? undefined : (value as ViewBy), q: undefined, open: undefined }, "push")
          }
          data={views.map((value) => ({ value, label: VIEW_NAMES[value] }))}
        />
      )}
      <Surfaces known={surfaces ?? []} />
      <Switch
        size="xs"
        label="By surface"
        checked={url.group_by === "surface"}
        onChange={(event) => change({ group_by: event.currentTarget.checked ? "surface" : undefined, open: undefined })}
      />
      {byCategory && (
        <Switch
          size="xs"
          label={
            <Hint label="Shows older usage under today’s categories instead of those in effect at the time">
              Use current categories
            </Hint>
          }
          aria-label="Use current categories"
          checked={url.categories === "now"}
          onChange={(event) => change({ categories: event.currentTarget.checked ? "now" : undefined })}
        />
      )}
      <WhoChips />
    </div>
  )
}

function Surfaces({ known }: { known: string[] }) {
  const [url, change] = useUrlState()
  const chosen = url.surface ?? []
  const all = [...new Set([...known, ...chosen])].sort()
  const [first] = chosen
  const label =
    first === undefined
      ? "All surfaces"
      : chosen.length === 1
        ? surfaceName(first)
        : `${surfaceName(first)} + ${chosen.length - 1}`
  return (
    <Popover position="bottom-start" shadow="md" withinPortal trapFocus returnFocus>
      <Popover.Target>
        <Button
          variant={chosen.length > 0 ? "light" : "default"}
          size="xs"
          fw={500}
          rightSection={<IconChevronDown size={14} stroke={1.6} aria-hidden="true" />}
        >
          {label}
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <Checkbox.Group
          aria-label="Surfaces"
          value={chosen}
          onChange={(surface) => change({ surface: surface.length > 0 ? surface : undefined })}
        >
          <div className={classes.choices}>
            {all.map((surface) => (
              <Checkbox key={surface} size="xs" value={surface} label={surfaceName(surface)} />
            ))}
            {all.length === 0 && <span className={classes.quiet}>No surfaces in this range</span>}
          </div>
        </Checkbox.Group>
        {chosen.length > 0 && (
          <Button variant="subtle" size="compact-xs" mt="xs" onClick={() => change({ surface: undefined })}>
            All surfaces
          </Button>
        )}
      </Popover.Dropdown>
    </Popover>
  )
}
