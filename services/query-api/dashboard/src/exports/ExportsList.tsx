import { Anchor, Button, Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { useId, useState } from "react"
import type { Schemas } from "../api/client"
import { useFormat } from "../format/useFormat"
import { Failure } from "../ui/Failure"
import { ChangesSince } from "./ChangesSince"
import classes from "./Exports.module.css"
import { exportsQuery } from "./queries"

export default function ExportsList() {
  const { data, error, refetch } = useQuery(exportsQuery)
  if (error && !data) return <Failure error={error} retry={() => void refetch()} />
  if (!data) return <Skeleton height={420} />
  return (
    <div className={classes.content}>
      <p className={classes.quiet}>Files that were downloaded whole, newest first; without files of selected people.</p>
      {data.exports.length === 0 && <p className={classes.quiet}>No files yet.</p>}
      <ol className={classes.files}>
        {data.exports.map((file) => (
          <ExportedFile key={file.manifest.id} file={file} />
        ))}
      </ol>
    </div>
  )
}

function ExportedFile({ file: { manifest, signed, reproducible } }: { file: Schemas["ExportedFile"] }) {
  const format = useFormat()
  const [isOpen, open] = useState(false)
  const id = useId()
  const path = `/api/v1/export/manifests/${manifest.id}`
  return (
    <li data-testid="exported-file">
      <strong id={id}>{manifest.file}</strong>
      <span className={classes.quiet}>
        {format.second(new Date(manifest.made_at))} ·{" "}
        {manifest.credits !== null && `${format.exact(manifest.credits)} credits · `}
        {manifest.lines === 1 ? "1 line" : `${format.count(manifest.lines)} lines`}
      </span>
      <span className={classes.links}>
        <Button
          variant="default"
          size="compact-sm"
          aria-expanded={isOpen}
          aria-describedby={id}
          onClick={() => open(!isOpen)}
        >
          What has changed
        </Button>
        {reproducible && (
          <Anchor href={`${path}/file`} download size="sm" aria-describedby={id}>
            Same file again
          </Anchor>
        )}
        <Anchor href={path} download={`${manifest.file}.manifest.json`} size="sm" aria-describedby={id}>
          Manifest
        </Anchor>
        {signed && (
          <Anchor
            href={`${path}/signature`}
            download={`${manifest.file}.manifest.json.minisig`}
            size="sm"
            aria-describedby={id}
          >
            Signature
          </Anchor>
        )}
      </span>
      {!reproducible && !manifest.people && <span className={classes.quiet}>Its lines are not kept.</span>}
      {isOpen && <ChangesSince id={manifest.id} />}
    </li>
  )
}
