import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { Schemas } from "../api/client"
import { reconcileQuery } from "../api/queries"
import { isZero } from "../credits"
import { addDays } from "../dates"
import { Failure } from "../shell/Failure"
import { useFormat } from "../shell/useFormat"
import { Contact } from "./Contact"
import { Lines } from "./Lines"
import classes from "./Reconcile.module.css"

export default function Steps({ creditPeriod }: { creditPeriod: string | undefined }) {
  const { data, error, refetch } = useQuery(reconcileQuery(creditPeriod))
  if (data) return <Told reconciliation={data} />
  return error ? <Failure error={error} retry={refetch} /> : <Skeleton height={420} />
}

function Told({ reconciliation }: { reconciliation: Schemas["Reconciliation"] }) {
  const format = useFormat()
  const { credit_period, state, commitment } = reconciliation
  return (
    <div className={classes.content}>
      <p>
        This dashboard counts usage. A contract also knows minimum commitments, overage prices and add-ons.{" "}
        {credit_period
          ? `For the credit period ${format.days(credit_period.from, addDays(credit_period.to, -1))}`
          : "Between two credit periods all usage is overage. Since the last one ended"}
        , this is how one becomes the other{state === "current" ? ", as it stands now" : ""}:
      </p>
      <Lines reconciliation={reconciliation} />
      {commitment && (
        <p>
          The contract’s minimum commitment is {format.credits(commitment.minimum)} credits over all its periods;{" "}
          {format.credits(commitment.reached)} are reached
          {isZero(commitment.shortfall) ? "." : `, ${format.credits(commitment.shortfall)} are missing.`}
        </p>
      )}
      <Contact team={reconciliation.account_team} />
    </div>
  )
}
