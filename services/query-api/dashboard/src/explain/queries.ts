import { keepPreviousData, queryOptions } from "@tanstack/react-query"
import { api, bodyOf } from "../api/client"
import { rangeIn } from "../breakdown/trend/trend"
import { countDays } from "../format/dates"
import { daysIn } from "../url/days"
import { apiQuery, compact, type Range, rangeOf, type UrlState, whoOf } from "../url/urlState"

/** From so many days on, people who began or stopped are separated: a day without use is not news. */
const PEOPLE_DAYS = 28
const CONTRIBUTORS = 5

/** The change of the chart's usage between the explained days, or the page's range, and those before. */
export function explainQuery(url: UrlState) {
  const { product, view } = apiQuery(url)
  const days = daysIn(url.explained)
  const before = daysIn(url.against)
  const query = {
    ...whoOf(url),
    ...compact({ surface: url.surface }),
    ...(url.scope === "all" ? {} : { product, ...(!isOfAll(view) && { view }) }),
    ...(days ? rangeIn(days) : rangeOf(url)),
    ...(before && { before_from: before.from, before_to: before.to }),
    people: isLong(days ?? rangeOf(url)),
    limit: CONTRIBUTORS,
  }
  return queryOptions({
    queryKey: ["explain", query],
    queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/explain", { params: { query }, signal })),
    placeholderData: keepPreviousData,
  })
}

/** Credit periods, months and all time are long. */
function isLong({ from, to }: Range): boolean {
  return from?.length !== 10 || to === undefined || countDays(from, to) >= PEOPLE_DAYS
}

/** Whether a view shows all usage of its product. */
function isOfAll(view: string): boolean {
  return view === "agents" || view === "features" || view === "namespaces"
}
