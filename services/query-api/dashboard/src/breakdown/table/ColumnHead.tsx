import { UnstyledButton } from "@mantine/core"
import { IconArrowDown, IconArrowsSort, IconArrowUp } from "@tabler/icons-react"
import type { Column, Order } from "./rows"
import classes from "./UsageTable.module.css"

interface Props {
  column: Column
  order: Order
  choose: (column: Column) => void
  children: string
}

export function ColumnHead({ column, order, choose, children }: Props) {
  const isSorted = order.by === column
  const Icon = !isSorted ? IconArrowsSort : order.descending ? IconArrowDown : IconArrowUp
  return (
    <th scope="col" aria-sort={isSorted ? (order.descending ? "descending" : "ascending") : "none"}>
      <UnstyledButton
        className={classes.sort}
        data-sorted={isSorted}
        data-number={column !== "name"}
        onClick={() => choose(column)}
        // Browsers do not scroll a half-visible element into view. On a phone the other half is outside the screen.
        onFocus={({ currentTarget }) => currentTarget.scrollIntoView({ block: "nearest", inline: "nearest" })}
      >
        {children}
        <Icon size={13} stroke={1.8} aria-hidden="true" />
      </UnstyledButton>
    </th>
  )
}
