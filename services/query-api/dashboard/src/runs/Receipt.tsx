import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import type { ReactNode } from "react"
import type { Schemas } from "../api/client"
import { useFormat } from "../format/useFormat"
import { Failure } from "../ui/Failure"
import { receiptQuery } from "./queries"
import classes from "./Runs.module.css"

/** Where one use is counted, and at which rate. */
export default function Receipt({ id }: { id: string }) {
  const { data, error, refetch } = useQuery(receiptQuery(id))
  if (!data) return error ? <Failure error={error} retry={() => void refetch()} /> : <Skeleton height={120} />
  return <Written receipt={data} />
}

const STATES = { counted: "Counted", held: "Held", corrected: "Counted and corrected", rejected: "Rejected" } as const

function Written({ receipt }: { receipt: Schemas["Receipt"] }) {
  const format = useFormat()
  const { counted_in, rate, quantity, unit, waits_for } = receipt
  return (
    <dl className={classes.receipt} aria-label="Receipt" data-testid="receipt">
      <Line name="State">
        {STATES[receipt.state]}
        {waits_for && `, waits for ${waits_for.replaceAll("_", " ")}`}
      </Line>
      {receipt.credits != null && <Line name="Credits">{format.exact(receipt.credits)}</Line>}
      {quantity != null && (
        <Line name="Quantity">
          {format.exact(quantity)} {unit}
        </Line>
      )}
      {rate && (
        <Line name="Rate">
          {format.exact(rate.credits)} credits per {format.exact(rate.per)} {unit}
        </Line>
      )}
      {receipt.quantities?.map((each) => (
        <Line key={each.unit} name={unitName(each.unit)}>
          {format.exact(each.charged ?? each.quantity)}
          {each.rate && ` at ${format.exact(each.rate.credits)} per ${format.exact(each.rate.per)}`}
          {each.part_of && ` (part of ${unitName(each.part_of)})`}
          {each.charged !== null && each.charged !== each.quantity && ` (of ${format.exact(each.quantity)})`}
        </Line>
      ))}
      {receipt.corrections?.map((correction) => (
        <Line key={`${correction.partition}/${correction.offset}`} name="Correction">
          {correction.credits === null ? "Held" : format.exact(correction.credits)}
          {correction.reason && `, ${correction.reason}`}
        </Line>
      ))}
      {receipt.occurred_at && <Line name="Used">{format.second(new Date(receipt.occurred_at))}</Line>}
      {receipt.received_at && <Line name="Received">{format.second(new Date(receipt.received_at))}</Line>}
      {counted_in && <Line name="Counted on">{format.day(counted_in.day)}</Line>}
      {receipt.id && (
        <Line name="Event">
          <code>
            {receipt.source} {receipt.id}
          </code>
        </Line>
      )}
    </dl>
  )
}

/** "input tokens" of the unit "input_tokens". */
function unitName(unit: string): string {
  return unit.replaceAll("_", " ")
}

function Line({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
