import type { Schemas } from "../api/client"
import type { Column, Guide } from "../charts/shape"
import { countDays } from "../format/dates"

/** The available credits as a level line, and the projected use from the column in progress to the end of the period. */
export function projectionGuides(
  columns: readonly Column[],
  { available, projection }: Schemas["ProjectionResponse"],
): Guide[] {
  const guides: Guide[] = []
  if (available !== null) {
    guides.push({ name: "Available credits", kind: "contract", isRunning: false, values: columns.map(() => available) })
  }
  if (projection === null) return guides
  const { from, ...band } = projection.band
  const first = columns.findIndex(({ bucket: { days } }) => days !== null && days.to >= from)
  if (first < 0) return guides
  const begin = columns[first - 1]?.total ?? "0.000000"
  const at = (values: readonly string[]) =>
    columns.map(({ bucket: { days } }, place) => {
      if (days === null || place < first) return null
      return values[Math.min(countDays(from, days.to), values.length) - 1] ?? null
    })
  guides.push(
    { name: "Projected", kind: "projection", isRunning: true, begin, values: at(band.p50) },
    { name: "Projected, low", kind: "low", isRunning: true, begin, values: at(band.p10) },
    { name: "Projected, high", kind: "high", isRunning: true, begin, values: at(band.p90) },
  )
  return guides
}
