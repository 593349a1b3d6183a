import { useQuery } from "@tanstack/react-query"
import { sessionQuery } from "../../api/queries"
import { Failure } from "../../ui/Failure"
import { PanelSkeleton } from "../../ui/PanelSkeleton"
import classes from "../Manage.module.css"
import { AddChannel } from "./AddChannel"
import { ChannelItem } from "./ChannelItem"
import { channelsQuery } from "./channels"

/** Where alerts go in addition to email. */
export function Channels() {
  const { data, error, refetch } = useQuery(channelsQuery)
  const { data: session } = useQuery(sessionQuery)
  if (!data && !error) return <PanelSkeleton />
  const mayChange = session?.role === "super_admin" || session?.role === "admin"
  return (
    <div className={classes.sections}>
      <p className={classes.quiet}>
        Send alerts to a webhook (when a threshold is reached and when it clears) or to Slack, in addition to email.
      </p>
      {error && !data && <Failure error={error} retry={() => void refetch()} />}
      {data && data.channels.length > 0 && (
        <ul className={classes.channels}>
          {data.channels.map((channel) => (
            <ChannelItem key={channel.id} channel={channel} mayChange={mayChange} />
          ))}
        </ul>
      )}
      {data &&
        (mayChange ? (
          <AddChannel />
        ) : (
          <p className={classes.quiet}>Super Admins and Admins can add and remove channels.</p>
        ))}
    </div>
  )
}
