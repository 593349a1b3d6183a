import { Button } from "@mantine/core"
import { IconMail } from "@tabler/icons-react"
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query"
import type { Schemas } from "../../api/client"
import { useFormat } from "../../format/useFormat"
import { DeliveryState, describeDelivery } from "../delivery/DeliveryState"
import classes from "../Manage.module.css"
import { isUnderWay, sendTestMail, testMailsQuery, WATCH_MAIL_EVERY_MS } from "../queries"

/** A mail's time is set in the database shortly before the response. The API sends at most one test mail a minute. */
const APART_MS = 30_000

/** Whether the mail's state is final. undefined: a mail that was just requested is not in the list yet. */
function isOver(mail: Schemas["Delivery"] | undefined): boolean {
  return mail !== undefined && !isUnderWay(mail)
}

/** Sends a test mail of the rule to the signed-in user, and shows its delivery state. */
export function TestMail({ rule }: { rule: Schemas["TestMailRequest"]["rule"] }) {
  const client = useQueryClient()
  const format = useFormat()
  const send = useMutation({
    mutationFn: () => sendTestMail(rule),
    onSuccess: () => client.invalidateQueries({ queryKey: testMailsQuery.queryKey }),
  })
  const requested = send.data
  const findMail = (mails: Schemas["Delivery"][] | undefined) =>
    requested && mails?.find(({ created_at }) => Date.parse(created_at) > Date.parse(requested.requested_at) - APART_MS)
  const { data } = useQuery({
    ...testMailsQuery,
    enabled: send.isSuccess,
    refetchInterval: ({ state }) => (isOver(findMail(state.data?.mails)) ? false : WATCH_MAIL_EVERY_MS),
  })
  const mail = findMail(data?.mails)
  return (
    <div className={classes.mails}>
      <Button
        variant="default"
        size="xs"
        leftSection={<IconMail size={16} stroke={1.6} aria-hidden="true" />}
        loading={send.isPending}
        onClick={() => send.mutate()}
      >
        Send test email
      </Button>
      <p role="status">
        {send.error && <span style={{ color: "var(--mantine-color-error)" }}>{send.error.message}</span>}
        {requested && !mail && `Sending to ${requested.recipient}…`}
        {mail && (
          <>
            <DeliveryState state={mail.state} /> {describeDelivery(mail, format)}
          </>
        )}
        {!send.error && !requested && "Goes only to you."}
      </p>
    </div>
  )
}
