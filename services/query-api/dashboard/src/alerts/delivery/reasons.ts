/** What libraries say of a failed connection, and what a person would. */
const REASONS: [RegExp, string][] = [
  [
    /name or service not known|nodename nor servname|no address associated|temporary failure in name resolution/i,
    "host not found",
  ],
  [/connection refused|connect call failed/i, "connection refused"],
  [/certificate/i, "the server’s certificate could not be verified"],
  [/timed?[ -]?out/i, "no response in time"],
  [/network is unreachable|no route to host/i, "host not reachable"],
]

/** Why an attempt failed, in a few words; what is not known here stays as it came. */
export function reasonOf(detail: string): string {
  return REASONS.find(([pattern]) => pattern.test(detail))?.[1] ?? detail
}
