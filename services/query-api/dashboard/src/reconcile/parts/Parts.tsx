import { Button, SegmentedControl } from "@mantine/core"
import { useInfiniteQuery, useQuery } from "@tanstack/react-query"
import { useState } from "react"
import { Refusal } from "../../api/client"
import { sessionQuery } from "../../api/queries"
import { useFormat } from "../../format/useFormat"
import { CellHints } from "../../ui/CellHints"
import { Failure } from "../../ui/Failure"
import { ScrollRegion } from "../../ui/ScrollRegion"
import classes from "../Reconcile.module.css"
import { type Chargeback, chargebackQuery, linesOf, namesNone, rowsOf } from "./parts"

/** The used credits, overage and amount due of a credit period by group or person. Without any, nothing. */
export function Parts({ creditPeriod }: { creditPeriod: string | undefined }) {
  const mode = useQuery(sessionQuery).data?.people ?? "named"
  const [chosen, choose] = useState<"group" | "person">("group")
  const by = mode === "groups_only" ? "group" : chosen
  const query = useInfiniteQuery(chargebackQuery(creditPeriod, by))
  const pages = query.data?.pages
  const page = pages?.at(-1)
  if (!pages || !page) {
    if (!query.error) return null
    // Too few people to be shown, or too many to be added up: neither another address nor another try helps.
    if (query.error instanceof Refusal && [403, 422].includes(query.error.problem.status))
      return <p>Who used the credits is not shown. {query.error.problem.detail}</p>
    return <Failure error={query.error} retry={() => void query.refetch()} />
  }
  if (namesNone(page)) return null
  return (
    <section aria-label="Who used the credits" className={classes.parts}>
      <h3>Who used the credits</h3>
      {mode !== "groups_only" && (
        <SegmentedControl
          aria-label="Divide by"
          size="xs"
          value={chosen}
          onChange={(value) => choose(value as "group" | "person")}
          data={[
            { value: "group", label: "Groups" },
            { value: "person", label: "People" },
          ]}
        />
      )}
      <Table pages={pages} page={page} />
      {query.hasNextPage && (
        <Button
          variant="subtle"
          size="compact-sm"
          loading={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
        >
          Show more
        </Button>
      )}
      <p>Overage and the amount due are divided in proportion to the credits that each one used.</p>
    </section>
  )
}

function Table({ pages, page }: { pages: Chargeback[]; page: Chargeback }) {
  const format = useFormat()
  const { currency, amount_due } = page
  const caption = `Credits${amount_due === null ? "" : " and amount due"} by ${page.by}`
  const cells = (credits: string, overage: string, amount: string | null) => (
    <>
      <td data-hint={format.exact(credits)}>{format.column(credits)}</td>
      <td data-hint={format.exact(overage)}>{format.column(overage)}</td>
      {amount_due !== null && <td>{amount !== null && currency && format.money(amount, currency)}</td>}
    </>
  )
  return (
    <ScrollRegion className={classes.scroll} label={caption}>
      <CellHints>
        <table className={classes.lines} data-testid="reconcile-parts">
          <caption className="visually-hidden">{caption}</caption>
          <thead>
            <tr>
              <th scope="col">{page.by === "group" ? "Group" : "Person"}</th>
              <th scope="col">Credits</th>
              <th scope="col">Overage</th>
              {amount_due !== null && <th scope="col">Amount</th>}
            </tr>
          </thead>
          <tbody>
            {linesOf([...rowsOf(pages), ...page.pinned]).map(({ row, path, depth }) => (
              <tr key={path}>
                <th scope="row" style={{ paddingInlineStart: `${depth}rem` }}>
                  {row.name}
                </th>
                {cells(row.credits, row.overage, row.amount)}
              </tr>
            ))}
            <tr data-is="total">
              <th scope="row">Total</th>
              {cells(page.feature_total, page.overage, amount_due)}
            </tr>
          </tbody>
        </table>
      </CellHints>
    </ScrollRegion>
  )
}
