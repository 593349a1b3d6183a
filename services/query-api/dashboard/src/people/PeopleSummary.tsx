import type { Schemas } from "../api/client"
import classes from "../breakdown/Summary.module.css"
import { Change } from "../breakdown/table/Change"
import { todayIn } from "../format/dates"
import { useFormat } from "../format/useFormat"
import { Hint } from "../ui/Hint"

/** The total in one line. */
export function PeopleSummary({ page }: { page: Schemas["People"] }) {
  const format = useFormat()
  const { total, events, people, change, previous, previous_range, range } = page
  return (
    <dl className={classes.figures}>
      <div>
        <dt>Credits</dt>
        <dd>
          <Hint plain label={format.exact(total)} testId="people-total">
            {format.column(total)}
          </Hint>
        </dd>
      </div>
      <div>
        <dt>Uses</dt>
        <dd>{format.count(events)}</dd>
      </div>
      <div>
        <dt>People</dt>
        <dd data-testid="people-count">{format.count(people)}</dd>
      </div>
      {previous_range && previous !== null && (
        <div>
          <dt>
            {range.to > todayIn(format.timeZone) ? (
              <Hint label={format.days(previous_range.from, previous_range.to)}>vs. same point last period</Hint>
            ) : (
              `vs. ${format.days(previous_range.from, previous_range.to)}`
            )}
          </dt>
          <dd>
            <Change credits={total} change={change} previous={previous} explained />
          </dd>
        </div>
      )}
    </dl>
  )
}
