import { Drawer, Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { Schemas } from "../api/client"
import { reconcileQuery } from "../api/queries"
import { addDays } from "../dates"
import { Failure } from "../shell/Failure"
import { useFormat } from "../shell/useFormat"
import { useView } from "../view/useView"
import { Contact } from "./Contact"
import { Lines } from "./Lines"
import classes from "./Reconcile.module.css"

/** From what was used to what the contract says, line by line: why the two are not the same number. */
export function Reconcile() {
  const [view, change] = useView()
  return (
    <Drawer
      opened={view.panel === "reconcile"}
      onClose={() => change({ panel: undefined })}
      position="right"
      size="lg"
      title="Why this does not match my contract"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Content creditPeriod={view.credit_period} />
    </Drawer>
  )
}

function Content({ creditPeriod }: { creditPeriod: string | undefined }) {
  const { data, error, refetch } = useQuery(reconcileQuery(creditPeriod))
  if (data) return <Steps reconciliation={data} />
  return error ? <Failure error={error} retry={refetch} /> : <Skeleton height={420} />
}

function Steps({ reconciliation }: { reconciliation: Schemas["Reconciliation"] }) {
  const format = useFormat()
  const { credit_period, state, commitment, amount_due, currency } = reconciliation
  return (
    <div className={classes.content}>
      <p>
        This dashboard counts usage. A contract also knows minimum commitments, overage prices and credits of add-ons.
        {credit_period
          ? ` For the credit period ${format.days(credit_period.from, addDays(credit_period.to, -1))}`
          : " Between two credit periods all usage is overage. Since the last one ended"}
        , this is how one becomes the other{state === "current" ? ", as it stands now" : ""}:
      </p>
      <Lines reconciliation={reconciliation} />
      {amount_due !== null && currency && (
        <p className={classes.due}>
          In money: <strong>{format.money(amount_due, currency)}</strong>
        </p>
      )}
      {commitment && (
        <p>
          The contract’s minimum commitment is {format.credits(commitment.minimum)} credits over all its periods;{" "}
          {format.credits(commitment.reached)} are reached
          {commitment.shortfall === "0.000000" ? "." : `, ${format.credits(commitment.shortfall)} are missing.`}
        </p>
      )}
      <Contact team={reconciliation.account_team} />
    </div>
  )
}
