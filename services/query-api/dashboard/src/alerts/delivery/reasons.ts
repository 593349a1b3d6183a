/** Error texts of libraries, with a short text for users. */
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

/** A short reason for a failed attempt; an unknown text is returned unchanged. */
export function reasonOf(detail: string): string {
  return REASONS.find(([pattern]) => pattern.test(detail))?.[1] ?? detail
}
