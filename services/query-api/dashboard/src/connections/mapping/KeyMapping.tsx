import { Skeleton } from "@mantine/core"
import { useQuery } from "@tanstack/react-query"
import { Failure } from "../../ui/Failure"
import { type ApiKey, mappingQuery } from "../queries"
import type { Draft } from "./draft"
import { MappingForm } from "./MappingForm"

interface Props {
  apiKey: ApiKey
  draft: Draft | undefined
  setDraft: (draft: Draft | undefined) => void
}

/** The mapping of a key. */
export function KeyMapping({ apiKey, draft, setDraft }: Props) {
  const { data, error, refetch } = useQuery(mappingQuery(apiKey.id))
  if (data) return <MappingForm apiKey={apiKey} saved={data} draft={draft} setDraft={setDraft} />
  return error ? <Failure error={error} retry={() => void refetch()} /> : <Skeleton height={420} />
}
