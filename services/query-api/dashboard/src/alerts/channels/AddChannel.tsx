import { Button, CopyButton, SegmentedControl, TextInput } from "@mantine/core"
import { useMutation, useQueryClient } from "@tanstack/react-query"
import { useState } from "react"
import classes from "../Manage.module.css"
import { addChannel, CONTENT_TYPES, channelsQuery, KINDS, mistakeOf } from "./channels"

const HINTS = {
  webhook: { url: "https://example.com/hooks/credits", hint: "Signed per Standard Webhooks." },
  slack: { url: "https://hooks.slack.com/services/…", hint: "The incoming webhook URL from Slack." },
}

/** Adds a channel. A webhook's secret is shown only once, so it stays visible until the user closes it. */
export function AddChannel() {
  const client = useQueryClient()
  const [kind, setKind] = useState<keyof typeof KINDS>("webhook")
  const [name, setName] = useState("")
  const [url, setUrl] = useState("")
  const [contentType, setContentType] = useState<keyof typeof CONTENT_TYPES>("application/json")
  const add = useMutation({
    mutationFn: () =>
      addChannel({
        kind,
        name: name.trim(),
        url: url.trim(),
        content_type: kind === "webhook" ? contentType : "application/json",
      }),
    onSuccess: () => {
      setName("")
      setUrl("")
      return client.invalidateQueries({ queryKey: channelsQuery.queryKey })
    },
  })
  const mistakes = { name: mistakeOf(add.error, "name"), url: mistakeOf(add.error, "url") }
  const forget = () => add.error && add.reset()
  if (add.data?.signing_secret) {
    return <Secret name={add.data.name} secret={add.data.signing_secret} done={add.reset} />
  }
  return (
    <form
      className={classes.section}
      aria-label="Add channel"
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        if (!add.isPending) add.mutate()
      }}
    >
      <div className={classes.heading}>
        <h3>Add channel</h3>
      </div>
      <SegmentedControl
        aria-label="Channel type"
        size="xs"
        value={kind}
        onChange={(value) => {
          setKind(value as keyof typeof KINDS)
          add.reset()
        }}
        data={Object.entries(KINDS).map(([value, label]) => ({ value, label }))}
      />
      <TextInput
        label="Name"
        placeholder="On call"
        maxLength={100}
        value={name}
        error={mistakes.name}
        onChange={({ currentTarget }) => {
          setName(currentTarget.value)
          forget()
        }}
      />
      <TextInput
        label="URL"
        description={HINTS[kind].hint}
        placeholder={HINTS[kind].url}
        inputMode="url"
        maxLength={2000}
        value={url}
        error={mistakes.url}
        onChange={({ currentTarget }) => {
          setUrl(currentTarget.value)
          forget()
        }}
      />
      {kind === "webhook" && (
        <SegmentedControl
          aria-label="Content type"
          size="xs"
          value={contentType}
          onChange={(value) => setContentType(value as keyof typeof CONTENT_TYPES)}
          data={Object.entries(CONTENT_TYPES).map(([value, label]) => ({ value, label }))}
        />
      )}
      <div className={classes.mails}>
        <Button type="submit" size="xs" loading={add.isPending} disabled={name.trim() === "" || url.trim() === ""}>
          Add channel
        </Button>
        <p role="status">
          {add.error && !mistakes.name && !mistakes.url && (
            <span style={{ color: "var(--mantine-color-error)" }}>{add.error.message}</span>
          )}
          {add.isSuccess && `${add.data.name} added.`}
        </p>
      </div>
    </form>
  )
}

function Secret({ name, secret, done }: { name: string; secret: string; done: () => void }) {
  return (
    <section className={classes.section} aria-labelledby="secret-title">
      <div className={classes.heading}>
        <h3 id="secret-title">Signing secret for {name}</h3>
      </div>
      <p className={classes.quiet}>Use it to verify signatures. You won’t see it again.</p>
      <code className={classes.secret} data-testid="signing-secret">
        {secret}
      </code>
      <div className={classes.mails}>
        <CopyButton value={secret}>
          {({ copied, copy }) => (
            <Button size="xs" variant="default" onClick={copy}>
              {copied ? "Copied" : "Copy secret"}
            </Button>
          )}
        </CopyButton>
        <Button size="xs" onClick={done}>
          I’ve saved it
        </Button>
      </div>
    </section>
  )
}
