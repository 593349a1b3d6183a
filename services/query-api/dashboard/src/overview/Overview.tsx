import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { overviewQuery } from "../api/queries"
import { Failure } from "../shell/Failure"
import { Cards } from "./Cards"
import classes from "./Overview.module.css"
import { Products } from "./Products"

export function Overview() {
  const { data, error, refetch } = useQuery(overviewQuery)
  return (
    <section aria-labelledby="overview-title" className={classes.overview} aria-busy={!data && !error}>
      <h2 id="overview-title" className="visually-hidden">
        Usage overview
      </h2>
      {data ? (
        <>
          <Cards overview={data} />
          <Products overview={data} />
        </>
      ) : error ? (
        <Failure error={error} retry={refetch} />
      ) : (
        <>
          <div className={classes.cards}>
            {["used", "remaining", "contract", "pace"].map((card) => (
              <Skeleton key={card} height={124} radius="md" />
            ))}
          </div>
          <Skeleton height={238} radius="md" />
        </>
      )}
    </section>
  )
}
