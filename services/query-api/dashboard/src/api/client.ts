import createClient from "openapi-fetch"
import type { components, paths } from "./schema"

export type Schemas = components["schemas"]
export type Problem = Schemas["Problem"]

/** The API, of the same origin; the session's cookie says who asks. */
export const api = createClient<paths>({
  querySerializer: { array: { style: "form", explode: true } },
  fetch: (request) => fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(DEADLINE_MS)]) }),
})

/** A server that hangs is no better than one that is away, and must not keep a connection for ever. */
const DEADLINE_MS = 60_000

/** The API refused, in its own words (RFC 9457), or what came was no answer of the API. */
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

/** The body of a good answer. Throws Refusal, or TypeError when there is no connection. */
export async function bodyOf<Data>(asked: Promise<Answer<Data>>): Promise<Data> {
  const { data, error, response } = await asked
  if (data === undefined) throw new Refusal(isProblem(error) ? error : unexpected(response))
  return data
}

/** When the answer is good, whatever its body. Throws as bodyOf does. */
export async function done(asked: Promise<Answer<unknown>>): Promise<void> {
  const { error, response } = await asked
  if (!response.ok) throw new Refusal(isProblem(error) ? error : unexpected(response))
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "type" in body && "detail" in body
}

function unexpected({ status }: Response): Problem {
  return {
    type: "about:blank",
    title: "Unexpected answer",
    status,
    detail: `The server answered with status ${status}.`,
  }
}
