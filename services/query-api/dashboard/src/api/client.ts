import createClient from "openapi-fetch"
import type { components, paths } from "./schema"

export type Schemas = components["schemas"]
export type Problem = Schemas["Problem"]

/** The API, on the same origin; the session cookie authenticates requests. */
export const api = createClient<paths>({
  querySerializer: { array: { style: "form", explode: true } },
  fetch: (request) => fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(DEADLINE_MS)]) }),
})

/** A timeout for servers that accept a connection and do not respond; otherwise the connection would stay open. */
const DEADLINE_MS = 60_000

/** The API's error as a problem document (RFC 9457), or a response that is not the API's. */
export class Refusal extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }
}

interface Answer<Data> {
  data?: Data
  error?: unknown
  response: Response
}

/** The body of a successful response. Throws Refusal for an error, TypeError without a connection. */
export async function bodyOf<Data>(pending: Promise<Answer<Data>>): Promise<Data> {
  const { data, error, response } = await pending
  if (data === undefined) throw new Refusal(isProblem(error) ? error : unexpected(response))
  return data
}

/** Waits for a successful response and ignores its body. Throws as bodyOf does. */
export async function done(pending: Promise<Answer<unknown>>): Promise<void> {
  const { error, response } = await pending
  if (!response.ok) throw new Refusal(isProblem(error) ? error : unexpected(response))
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "type" in body && "detail" in body
}

function unexpected({ status }: Response): Problem {
  return {
    type: "about:blank",
    title: "Unexpected response",
    status,
    detail: `The server responded with status ${status}.`,
  }
}
