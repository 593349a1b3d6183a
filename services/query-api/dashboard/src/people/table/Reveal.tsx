import { ActionIcon, Button, Popover } from "@mantine/core"
import { IconEye } from "@tabler/icons-react"
import { useMutation, useQuery } from "@tanstack/react-query"
import { useState } from "react"
import { api, bodyOf } from "../../api/client"
import { sessionQuery } from "../../api/queries"
import { Failure } from "../../ui/Failure"
import classes from "../People.module.css"

/** Reveals who an alias is, to Super Admins, after a second click. The API audits it. */
export function Reveal({ alias }: { alias: string }) {
  const role = useQuery(sessionQuery).data?.role
  const [isOpen, setOpen] = useState(false)
  const { data, error, isPending, mutate, reset } = useMutation({
    mutationFn: () => bodyOf(api.POST("/api/v1/people/reveal", { body: { alias } })),
  })
  if (role !== "super_admin") return null
  const close = (opened: boolean) => {
    setOpen(opened)
    if (!opened) reset()
  }
  return (
    <Popover
      opened={isOpen}
      onChange={close}
      position="bottom"
      shadow="md"
      width={280}
      withinPortal
      trapFocus
      returnFocus
    >
      <Popover.Target>
        <ActionIcon
          variant="subtle"
          color="gray"
          size={20}
          aria-label={`Reveal ${alias}`}
          onClick={() => close(!isOpen)}
        >
          <IconEye size={14} stroke={1.6} />
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown aria-label={`Reveal ${alias}`}>
        <div className={classes.reveal}>
          {data ? (
            <>
              <strong role="status">{data.name ?? "No name in the directory"}</strong>
              {data.email && <span>{data.email}</span>}
              <small>{data.id}</small>
            </>
          ) : error ? (
            <Failure error={error} retry={() => mutate()} />
          ) : (
            <>
              <p>The audit log records that you revealed {alias}.</p>
              <Button size="xs" loading={isPending} onClick={() => mutate()}>
                Reveal
              </Button>
            </>
          )}
        </div>
      </Popover.Dropdown>
    </Popover>
  )
}
