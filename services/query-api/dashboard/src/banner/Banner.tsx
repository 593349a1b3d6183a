import { Button } from "@mantine/core"
import { IconAlertTriangle, IconBell, IconX } from "@tabler/icons-react"
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query"
import { api, done, type Schemas } from "../api/client"
import { bannerQuery, overviewQuery } from "../api/queries"
import { addDays } from "../dates"
import { useFormat } from "../shell/useFormat"
import { Announcement } from "../ui/Announcement"
import { useChangeView } from "../view/useView"
import { PRODUCT_NAMES } from "../words"
import classes from "./Banner.module.css"

/** The usage notice: the highest threshold that usage meets until it is dismissed, and overage for as long as it lasts. */
export function Banner() {
  const { data: banner } = useQuery(bannerQuery)
  const { data: overview } = useQuery(overviewQuery)
  const title = banner && titleOf(banner)
  return (
    <>
      <Announcement words={title ? `${title}.` : ""} />
      {banner && title && <Notice title={title} banner={banner} overview={overview} />}
    </>
  )
}

/** Nothing when there is nothing to tell. */
function titleOf(banner: Schemas["Banner"]): string | undefined {
  if (isAnnounced(banner)) return `Your usage has met ${banner.threshold} % of the available credits`
  return banner.products_over.length > 0 ? "Usage is over the contracted amount" : undefined
}

function isAnnounced({ active, dismissed }: Schemas["Banner"]): boolean {
  return active && !dismissed
}

interface NoticeProps {
  banner: Schemas["Banner"]
  overview: Schemas["Overview"] | undefined
}

function Notice({ title, banner, overview }: NoticeProps & { title: string }) {
  const Icon = isAnnounced(banner) ? IconBell : IconAlertTriangle
  return (
    <section aria-label="Usage notice" className={classes.banner} data-level={levelOf(banner)}>
      <Icon size={20} stroke={1.6} aria-hidden="true" />
      <div>
        <h2>{title}</h2>
        {isAnnounced(banner) && <Level banner={banner} overview={overview} />}
        <Overages banner={banner} overview={overview} />
      </div>
      {isAnnounced(banner) && <Actions banner={banner} />}
    </section>
  )
}

function levelOf(banner: Schemas["Banner"]): "notice" | "warning" | "over" {
  const { threshold } = banner
  if (!isAnnounced(banner) || threshold === null || threshold >= 100) return "over"
  return threshold >= 90 ? "warning" : "notice"
}

function Level({ banner, overview }: NoticeProps) {
  const format = useFormat()
  const { percent_used, credit_period } = banner
  if (!overview || overview.credits_available === null || percent_used === null) return null
  return (
    <p>
      {format.credits(overview.credits_used)} of {format.credits(overview.credits_available)} credits are used,{" "}
      <b>{format.percent(percent_used)}</b>
      {credit_period && `, in the credit period ${format.days(credit_period.from, addDays(credit_period.to, -1))}`}.
    </p>
  )
}

function Actions({ banner: { id } }: { banner: Schemas["Banner"] }) {
  const change = useChangeView()
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

function Overages({ banner, overview }: NoticeProps) {
  const format = useFormat()
  const team = overview?.account_team
  if (banner.products_over.length === 0) return null
  return (
    <>
      <ul>
        {banner.products_over.map(
          ({ product, overage, contracted }) =>
            overage !== null &&
            contracted !== null && (
              <li key={product}>
                {PRODUCT_NAMES[product]} is <b>{format.credits(overage)}</b> over its contracted{" "}
                {format.credits(contracted)} credits.
              </li>
            ),
        )}
      </ul>
      <p>
        Adjust consumption, or follow up with your account team{team ? ": " : "."}
        {team && <Team team={team} />}
      </p>
    </>
  )
}

function Team({ team: { name, email, url } }: { team: Schemas["AccountTeam"] }) {
  return (
    <>
      {name}
      {name && (email || url) && ", "}
      {email && <a href={`mailto:${email}`}>{email}</a>}
      {email && url && ", "}
      {url && (
        <a href={url} target="_blank" rel="noreferrer">
          {new URL(url).hostname}
        </a>
      )}
      .
    </>
  )
}

/** For whoever is signed in; the next threshold, or this one met again, is another banner. */
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
