import { Button } from "@mantine/core"
import { IconMail } from "@tabler/icons-react"
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query"
import type { Schemas } from "../../api/client"
import { useFormat } from "../../format/useFormat"
import { DeliveryState, wordsOf } from "../delivery/DeliveryState"
import classes from "../Manage.module.css"
import { isUnderWay, sendTestMail, testMailsQuery, WATCH_MAIL_EVERY_MS } from "../queries"

/** A mail's time is that of the request in the database, a little before it was answered; there is one mail a minute. */
const APART_MS = 30_000

/** Whether nothing more will become of it. One that was asked for a moment ago is not written yet. */
function isOver(mail: Schemas["Delivery"] | undefined): boolean {
  return mail !== undefined && !isUnderWay(mail)
}

/** Sends a mail as the rule would, to whoever asks, and tells what became of it. */
export function TestMail({ rule }: { rule: Schemas["AskedTestMail"]["rule"] }) {
  const client = useQueryClient()
  const format = useFormat()
  const send = useMutation({
    mutationFn: () => sendTestMail(rule),
    onSuccess: () => client.invalidateQueries({ queryKey: testMailsQuery.queryKey }),
  })
  const asked = send.data
  const findMail = (mails: Schemas["Delivery"][] | undefined) =>
    asked && mails?.find(({ created_at }) => Date.parse(created_at) > Date.parse(asked.requested_at) - APART_MS)
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
        {asked && !mail && `Sending to ${asked.recipient}…`}
        {mail && (
          <>
            <DeliveryState state={mail.state} /> {wordsOf(mail, format)}
          </>
        )}
        {!send.error && !asked && "Goes only to you."}
      </p>
    </div>
  )
}
