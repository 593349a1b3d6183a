import { expect, test } from "vitest"
import { reasonOf } from "./reasons"

test.each([
  ["Cannot connect to host hooks.example.com:443 ssl:default [Name or service not known]", "host not found"],
  ["[Errno 111] Connect call failed ('127.0.0.1', 9)", "connection refused"],
  [
    "SSLCertVerificationError: certificate verify failed: self-signed certificate",
    "the server’s certificate could not be verified",
  ],
  ["TimeoutError: timed out", "no response in time"],
  ["550 5.1.1 no such user", "550 5.1.1 no such user"],
])("%s", (detail, reason) => expect(reasonOf(detail)).toBe(reason))
