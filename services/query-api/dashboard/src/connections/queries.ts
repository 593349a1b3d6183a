import { keepPreviousData, queryOptions } from "@tanstack/react-query"
import { api, bodyOf, done, type Schemas } from "../api/client"
import type { Protocol } from "./protocols"

export type ApiKey = Schemas["ApiKey"]
export type Mapping = Schemas["MappingResponse"]
export type Trial = Schemas["Trial"]
export type ReadyMade = Schemas["ReadyMadeMapping"]

export const keysQuery = queryOptions({
  queryKey: ["api-keys"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/api-keys", { signal })),
  staleTime: 0,
})

export function mappingQuery(keyId: string) {
  return queryOptions({
    queryKey: ["mapping", keyId],
    queryFn: ({ signal }) =>
      bodyOf(api.GET("/api/v1/api-keys/{key_id}/mapping", { params: { path: { key_id: keyId } }, signal })),
    staleTime: 0,
  })
}

export const readyMadeQuery = queryOptions({
  queryKey: ["ready-made-mappings"],
  queryFn: ({ signal }) => bodyOf(api.GET("/api/v1/mappings/ready-made", { signal })),
  staleTime: Number.POSITIVE_INFINITY,
})

/** `document` is the text of a JSON object. It is sent as it is, since JavaScript would round its numbers. */
export function trialQuery(document: string, protocol: Protocol, event: string) {
  return queryOptions({
    queryKey: ["mapping-trial", document, protocol, event],
    queryFn: ({ signal }) =>
      bodyOf(
        api.POST("/api/v1/mappings/try", {
          body: { document: {}, protocol, event },
          bodySerializer: (body) =>
            `{"document":${document},${JSON.stringify({ protocol, event: body.event }).slice(1)}`,
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  })
}

/** Throws Refusal; its status is 412 if another admin has saved since `version`. */
export function saveMapping(keyId: string, version: string, document: string) {
  return bodyOf(
    api.PUT("/api/v1/api-keys/{key_id}/mapping", {
      params: { path: { key_id: keyId }, header: { "if-match": `"${version}"` } },
      body: {},
      bodySerializer: () => document,
    }),
  )
}

/** Throws Refusal, as saveMapping does. */
export function removeMapping(keyId: string, version: string) {
  return done(
    api.DELETE("/api/v1/api-keys/{key_id}/mapping", {
      params: { path: { key_id: keyId }, header: { "if-match": `"${version}"` } },
    }),
  )
}
