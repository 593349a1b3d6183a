import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { Schemas } from "../api/client"
import { reconcileQuery } from "../api/queries"
import { isZero } from "../format/credits"
import { addDays } from "../format/dates"
import { useFormat } from "../format/useFormat"
import { Failure } from "../ui/Failure"
import { Contact } from "./Contact"
import { Lines } from "./Lines"
import { Parts } from "./parts/Parts"
import classes from "./Reconcile.module.css"

export default function Steps({ creditPeriod }: { creditPeriod: string | undefined }) {
  const { data, error, refetch } = useQuery(reconcileQuery(creditPeriod))
  if (data) return <Explanation reconciliation={data} creditPeriod={creditPeriod} />
  return error ? <Failure error={error} retry={refetch} /> : <Skeleton height={420} />
}

interface Props {
  reconciliation: Schemas["Reconciliation"]
  creditPeriod: string | undefined
}

function Explanation({ reconciliation, creditPeriod }: Props) {
  const format = useFormat()
  const { credit_period, state, commitment } = reconciliation
  const reached = commitment && format.level(commitment.reached, commitment.minimum)
  return (
    <div className={classes.content}>
      <p>
        Your contract also covers minimum commitments, overage pricing, and add-ons. Here is how usage adds up to it
        {state === "current" && " so far"}
        {credit_period
          ? ` in the credit period ${format.days(credit_period.from, addDays(credit_period.to, -1))}.`
          : " since the last credit period ended. Between two credit periods, all usage is overage."}
      </p>
      <Lines reconciliation={reconciliation} />
      {commitment && (
        <p>
          Minimum commitment, all periods of the contract: {reached?.used} of {reached?.available} credits reached
          {isZero(commitment.shortfall) ? "." : `, ${format.credits(commitment.shortfall)} short.`}
        </p>
      )}
      <Parts creditPeriod={creditPeriod} />
      <Contact team={reconciliation.account_team} />
    </div>
  )
}
