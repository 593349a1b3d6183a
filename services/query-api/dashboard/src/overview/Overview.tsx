import { Card, Skeleton, Text } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { overviewQuery } from "../api/queries"
import { useFormat } from "../shell/useFormat"

export function Overview() {
  const { data } = useQuery(overviewQuery)
  const format = useFormat()
  if (!data) return <Skeleton height={120} />
  return (
    <Card withBorder component="section" aria-label="Usage overview">
      <Text c="dimmed">Credits used</Text>
      <Text fz="h2">{format.credits(data.credits_used)}</Text>
    </Card>
  )
}
