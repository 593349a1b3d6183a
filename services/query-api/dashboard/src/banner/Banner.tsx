import { Button } from "@mantine/core"
import { IconBell, IconX } from "@tabler/icons-react"
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query"
import { api, done, type Schemas } from "../api/client"
import { bannerQuery, overviewQuery } from "../api/queries"
import { addDays } from "../format/dates"
import { type Format, threshold } from "../format/format"
import { useFormat } from "../format/useFormat"
import { Announcement } from "../ui/Announcement"
import { useChangeUrl } from "../url/useUrlState"
import classes from "./Banner.module.css"

/** The usage notice for the highest threshold reached, until it is dismissed. Overage is shown in its card. */
export function Banner() {
  const { data: banner } = useQuery(bannerQuery)
  const { data: overview } = useQuery(overviewQuery)
  const shown = banner?.active && !banner.dismissed ? banner : undefined
  return (
    <>
      <Announcement
        words={
          !shown?.threshold
            ? ""
            : shown.kind === "projected"
              ? `Usage is projected to pass ${threshold(shown.threshold)} of your credits.`
              : `Usage has reached ${threshold(shown.threshold)} of your credits.`
        }
      />
      {shown && <Notice banner={shown} overview={overview} />}
    </>
  )
}

interface NoticeProps {
  banner: Schemas["Banner"]
  overview: Schemas["Overview"] | undefined
}

function Notice({ banner, overview }: NoticeProps) {
  const format = useFormat()
  const { percent_used, threshold: reached } = banner
  const used = percent_used !== null ? format.wholePercent(percent_used) : reached !== null && threshold(reached)
  return (
    <section
      aria-label="Usage notice"
      className={classes.banner}
      data-level={(reached ?? 0) >= 90 && banner.kind === "used" ? "warning" : "notice"}
    >
      <IconBell size={20} stroke={1.6} aria-hidden="true" />
      <div>
        <h2>{banner.kind === "projected" ? projectedWords(banner, format) : `You’ve used ${used} of your credits`}</h2>
        <Level banner={banner} overview={overview} />
      </div>
      <Actions banner={banner} />
    </section>
  )
}

/** "Your credits are projected to run out around Feb 9", or which other threshold is passed. */
function projectedWords({ threshold: percent, passed_on }: Schemas["Banner"], format: Format): string {
  const around = passed_on?.p50 ? ` around ${format.day(passed_on.p50)}` : " before the credit period ends"
  if (percent === 100) return `Your credits are projected to run out${around}`
  return `Your usage is projected to pass ${percent === null ? "" : threshold(percent)} of your credits${around}`
}

function Level({ banner, overview }: NoticeProps) {
  const format = useFormat()
  if (!overview || overview.credits_available === null) return null
  const { credit_period } = banner
  const { used, available, percent } = format.level(overview.credits_used, overview.credits_available)
  return (
    <p>
      {used} of {available} credits used{percent && ` (${percent})`}
      {credit_period && ` · ${format.days(credit_period.from, addDays(credit_period.to, -1))}`}
    </p>
  )
}

function Actions({ banner: { id } }: { banner: Schemas["Banner"] }) {
  const change = useChangeUrl()
  const dismiss = useDismiss()
  return (
    <div className={classes.actions}>
      <Button size="xs" variant="default" onClick={() => change({ panel: "alerts" }, "push")}>
        Manage alerts
      </Button>
      {id !== null && (
        <Button
          size="xs"
          variant="subtle"
          color="gray"
          c="var(--text)"
          leftSection={<IconX size={14} stroke={1.8} aria-hidden="true" />}
          loading={dismiss.isPending}
          onClick={() => dismiss.mutate(id)}
        >
          Dismiss
        </Button>
      )}
      {dismiss.error && <p role="alert">{dismiss.error.message}</p>}
    </div>
  )
}

/** Dismisses the banner for the signed-in user. Another threshold, or the same one met again, is a new banner. */
function useDismiss() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (id: string) => done(api.POST("/api/v1/banner/dismiss", { body: { id } })),
    onSuccess: (_, id) =>
      client.setQueryData(
        bannerQuery.queryKey,
        (banner) => banner && (banner.id === id ? { ...banner, dismissed: true } : banner),
      ),
    onError: () => client.invalidateQueries({ queryKey: bannerQuery.queryKey }),
  })
}
