import { Button } from "@mantine/core"
import { useMutation, useQueryClient } from "@tanstack/react-query"
import { useState } from "react"
import { Refusal } from "../../api/client"
import { useFormat } from "../../format/useFormat"
import classes from "../Connections.module.css"
import { type ApiKey, keysQuery, type Mapping, mappingQuery, removeMapping, saveMapping } from "../queries"
import type { Draft } from "./draft"

interface Props {
  apiKey: ApiKey
  saved: Mapping
  draft: Draft | undefined
  /** The text was checked, and has no mistakes. */
  isValid: boolean
  isWrong: boolean
  setDraft: (draft: Draft | undefined) => void
}

/** Saves, discards and removes. Another admin may have saved since the draft began. */
export function Footer({ apiKey, saved, draft, isValid, isWrong, setDraft }: Props) {
  const client = useQueryClient()
  const format = useFormat()
  const [isSure, setSure] = useState(false)
  const query = mappingQuery(apiKey.id)
  const refetch = (error: Error) => {
    if (error instanceof Refusal && error.problem.status === 412) void client.invalidateQueries(query)
  }
  const save = useMutation({
    mutationFn: () => saveMapping(apiKey.id, draft?.version ?? saved.version, draft?.text ?? ""),
    onSuccess: (mapping) => {
      client.setQueryData(query.queryKey, mapping)
      setDraft(undefined)
      return client.invalidateQueries({ queryKey: keysQuery.queryKey })
    },
    onError: refetch,
  })
  const remove = useMutation({
    mutationFn: () => removeMapping(apiKey.id, saved.version),
    onSuccess: async () => {
      await client.invalidateQueries(query)
      setDraft(undefined)
      setSure(false)
      return client.invalidateQueries({ queryKey: keysQuery.queryKey })
    },
    onError: refetch,
  })
  const begin = (next: Draft | undefined) => {
    setDraft(next)
    save.reset()
  }
  if (draft && draft.version !== saved.version) {
    const who = saved.updated_by ? `${saved.updated_by} changed` : "Someone changed"
    return (
      <div className={classes.conflict} role="alert">
        <p>{who} this mapping while you were editing.</p>
        <div className={classes.actions}>
          <Button size="xs" onClick={() => begin({ text: draft.text, version: saved.version })}>
            Keep mine
          </Button>
          <Button size="xs" variant="default" onClick={() => begin(undefined)}>
            Take theirs
          </Button>
        </div>
      </div>
    )
  }
  return (
    <div className={classes.footer}>
      <p role="status">
        <Status isUnsaved={draft !== undefined} isWrong={isWrong} isSaved={save.isSuccess} isRemoved={remove.isSuccess}>
          {(save.error ?? remove.error)?.message}
        </Status>
      </p>
      <div className={classes.actions}>
        {saved.document !== null && !isSure && (
          <Button size="xs" variant="subtle" color="red" onClick={() => setSure(true)}>
            Remove mapping
          </Button>
        )}
        {isSure && (
          <fieldset className={classes.sure}>
            <legend>
              Events of other programs that are sent with this key are refused without a mapping. It was saved{" "}
              {saved.updated_at && format.moment(new Date(saved.updated_at))}.
            </legend>
            <Button
              size="xs"
              variant="default"
              c="var(--bad)"
              loading={remove.isPending}
              onClick={() => remove.mutate()}
            >
              Remove
            </Button>
            <Button size="xs" variant="default" data-autofocus onClick={() => setSure(false)}>
              Keep
            </Button>
          </fieldset>
        )}
        <Button size="xs" variant="default" disabled={!draft || save.isPending} onClick={() => begin(undefined)}>
          Discard
        </Button>
        <Button size="xs" disabled={!draft || !isValid} loading={save.isPending} onClick={() => save.mutate()}>
          Save mapping
        </Button>
      </div>
    </div>
  )
}

interface StatusProps {
  isUnsaved: boolean
  isWrong: boolean
  isSaved: boolean
  isRemoved: boolean
  children: string | undefined
}

function Status({ isUnsaved, isWrong, isSaved, isRemoved, children }: StatusProps) {
  if (children) return <span className={classes.bad}>{children}</span>
  if (isUnsaved) return isWrong ? "Fix what is marked to save." : "Unsaved changes"
  if (isSaved) return "Saved. It applies within five seconds."
  return isRemoved && "Removed. It stops applying within five seconds."
}
