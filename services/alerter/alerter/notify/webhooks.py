"""Sends the outbox of alert events to the organizations' channels: webhooks, signed per Standard Webhooks, and
Slack."""

import base64
import hmac
import json
import os
import time
from collections.abc import Sequence

import aiohttp
import structlog
from runtime.postgres.pool import Pool

from alerter.db.channel_queries import Delivery, claim_deliveries, record_delivery_result, stop_channel
from alerter.domain.attempts import RETRY_S, Attempt, reschedule, truncate
from alerter.email.refusals import explain_certificate
from alerter.metrics import DELIVERIES
from alerter.notify.public_http import NotPublic
from alerter.notify.slack import write_message
from alerter.queues.outbox import LEASE_S, Outbox

log = structlog.get_logger()

AT_ONCE = 32
"""Each of them has a different channel, because a channel gets one delivery at a time. So a receiver that hangs delays
few others."""
ANSWER_BYTES_MAX = 2000


class Gone(Attempt):
    """The receiver will never accept a delivery again."""


class Deliverer(Outbox[Delivery]):
    """Sends alert events to channels."""

    def __init__(self, pool: Pool, http: aiohttp.ClientSession, dashboard_url: str) -> None:
        super().__init__(pool, "channel", AT_ONCE)
        self._http = http
        self._dashboard_url = dashboard_url

    async def claim(self, limit: int, running: Sequence[int], after: int) -> Sequence[Delivery]:
        return await claim_deliveries(self._pool, limit, LEASE_S, running, self.share, after)

    def number(self, item: Delivery) -> int:
        return item.delivery_id

    def waited_s(self, item: Delivery) -> float:
        return item.waited_s

    async def send(self, item: Delivery) -> Attempt:
        if not item.url:
            return Attempt("refused", "not sent: the channel was removed")
        body, headers = self._write(item)
        try:
            async with self._http.post(item.url, data=body, headers=headers, allow_redirects=False) as response:
                answer = (await response.content.read(ANSWER_BYTES_MAX)).decode(errors="replace")
        # asyncio raises UnicodeError for host names that it cannot encode
        except (aiohttp.InvalidURL, UnicodeError) as error:
            return Attempt("refused", truncate(f"not sent: the URL is not valid: {error}"))
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, NotPublic):
                return Attempt("refused", truncate(f"not sent: {error.os_error}"))
            return reschedule(truncate(describe(error)), item.waited_s)
        return classify_response(item, response, answer)

    def _write(self, item: Delivery) -> tuple[bytes, dict[str, str]]:
        if item.kind == "slack":
            return write_message(item.body, self._dashboard_url).encode(), {"Content-Type": item.content_type}
        assert item.signing_secret is not None
        body, at = item.body.encode(), int(time.time())
        return body, {
            "Content-Type": item.content_type,
            "webhook-id": item.event_id,
            "webhook-timestamp": f"{at}",
            "webhook-signature": sign(item.signing_secret, item.event_id, at, body),
        }

    def report(self, item: Delivery, attempt: Attempt) -> None:
        DELIVERIES.labels(item.kind, attempt.outcome).inc()
        log_attempt = log.info if attempt.outcome == "sent" else log.warning
        log_attempt(
            "alert event", outcome=attempt.outcome, organization=organization_of(item.body), channel=item.channel_id,
            event_id=item.event_id, attempt=item.attempt, detail=attempt.detail,
        )  # fmt: skip

    async def record_result(self, item: Delivery, attempt: Attempt) -> None:
        await record_delivery_result(self._pool, item, attempt)
        if isinstance(attempt, Gone):
            await stop_channel(self._pool, item.channel_id, attempt.detail)


def organization_of(body: str) -> str:
    """The organization's id in the API, which is the subject of the CloudEvent."""
    return str(json.loads(body)["subject"])


def describe(error: Exception) -> str:
    """The reason why a request failed, for an admin who reads the channel's history."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return explain_certificate(f"TLS failed: {error.certificate_error}")
        case aiohttp.ClientConnectorDNSError():
            return "host not found"
        case aiohttp.ClientConnectorError():
            code = error.os_error.errno
            return os.strerror(code).lower() if code else f"no connection: {error.os_error}"
    return f"{type(error).__name__}: {error}" if f"{error}" else "no answer in time"


def classify_response(item: Delivery, response: aiohttp.ClientResponse, answer: str) -> Attempt:
    """2xx means accepted. 410, and Slack's 404, mean that the receiver is gone. Other statuses, including redirects,
    are retried, because a person can fix their cause."""
    detail = truncate(f"{response.status} {response.reason or ''} {answer}")
    if 200 <= response.status < 300:
        return Attempt("sent", detail)
    if response.status == 410 or (item.kind == "slack" and response.status == 404):
        return Gone("refused", detail)
    asked = response.headers.get("Retry-After", "")
    return reschedule(
        detail, item.waited_s, min(float(asked), RETRY_S[-1]) if asked.isascii() and asked.isdigit() else 0.0
    )


def sign(secret: str, event_id: str, at: int, body: bytes) -> str:
    """The webhook-signature of Standard Webhooks 1.0: HMAC-SHA256 over id, time in seconds and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return f"v1,{base64.b64encode(hmac.digest(key, f'{event_id}.{at}.'.encode() + body, 'sha256')).decode()}"
