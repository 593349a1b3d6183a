"""Requests to ingest with httpx."""

import asyncio
import encodings.idna  # noqa: F401 - see httpcore below
import logging
import ssl
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from math import inf

import httpcore  # noqa: F401 - httpx would import it in the sender's thread: a fork at that moment breaks or blocks the child
import httpx

from flexcredits_client.delivery.answers import Answer, NoAnswer
from flexcredits_client.delivery.steps import Send, Steps, Wait
from flexcredits_client.options import Options

LOG = logging.getLogger("flexcredits_client")
PATH = "/api/v1/events"
ANSWER_BYTES_MAX = 16 * 1024 * 1024  # a receipt that rejects 10,000 events
LAST_TRY_S = 0.1
"""Even when no time is left: enough for a service nearby."""


class Endpoint:
    """Address and headers. Raises ValueError for an address without http or https."""

    def __init__(self, url: str, key: str, options: Options) -> None:
        base = httpx.URL(url)
        if base.scheme not in ("http", "https") or not base.host:
            raise ValueError(f"the address of ingest is a URL such as https://ingest.example.com, not {url!r}")
        if not key:
            raise ValueError("the API key is empty")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("the API key has a character that no key has, such as the end of a line")
        self.url = f"{url.rstrip('/')}{PATH}"
        self.answer_s = options.answer_s
        # Without https no certificate is needed, and reading all of certifi takes 20 ms or more.
        self._verify = options.verify if base.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/cloudevents-batch+json",
            "User-Agent": f"flexcredits-client/{own_version()} python",
        }

    def headers_of(self, request: Send) -> dict[str, str]:
        return {**self._headers, "Content-Encoding": "gzip"} if request.is_gzip else self._headers

    def open(self) -> httpx.Client:
        return httpx.Client(timeout=self.answer_s, verify=self._verify)

    def open_async(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=self.answer_s, verify=self._verify)


def own_version() -> str:
    try:
        return version("flexcredits-client")
    except PackageNotFoundError:  # copied into a program instead of installed
        return "unknown"


def post(http: httpx.Client, endpoint: Endpoint, request: Send, left_s: float = inf) -> Answer | NoAnswer:
    """The answer, if it is complete after `answer_s` seconds, or after `left_s` if that is less."""
    wait_s, body = min(endpoint.answer_s, max(left_s, LAST_TRY_S)), bytearray()
    deadline, headers = time.monotonic() + wait_s, endpoint.headers_of(request)
    try:
        with http.stream("POST", endpoint.url, content=request.body, headers=headers, timeout=wait_s) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if time.monotonic() > deadline or len(body) > ANSWER_BYTES_MAX:
                    return NoAnswer(f"the answer is not complete after {wait_s:g} s or {len(body)} bytes")
            return Answer(response.status_code, response.headers, bytes(body))
    except httpx.RequestError as error:
        return no_answer(error)


async def post_async(http: httpx.AsyncClient, endpoint: Endpoint, request: Send) -> Answer | NoAnswer:
    """As `post`."""
    try:
        async with asyncio.timeout(endpoint.answer_s):
            response = await http.post(endpoint.url, content=request.body, headers=endpoint.headers_of(request))
            return Answer(response.status_code, response.headers, response.content)
    except TimeoutError:
        return NoAnswer(f"the answer is not complete after {endpoint.answer_s:g} s")
    except httpx.RequestError as error:
        return no_answer(error)


def no_answer(error: httpx.RequestError) -> NoAnswer:
    return NoAnswer(f"no answer: {type(error).__name__} {error}".strip())


def drive(steps: Steps, send: Callable[[Send], Answer | NoAnswer], wait: Callable[[Wait], bool]) -> bool:
    """Execute the steps of a delivery; whether they all were. `wait` returns False to give up. Raises SendingStopped."""
    result: Answer | NoAnswer | None = None
    try:
        while True:
            step = steps.send(result)
            if isinstance(step, Send):
                result = send(step)
            elif wait(step):
                result = None
            else:
                steps.close()
                return False
    except StopIteration:
        return True


def log_retry(wait: Wait) -> None:
    level = logging.ERROR if wait.is_unusual else logging.WARNING
    LOG.log(level, "the batch is sent again in %.1f s: %s", wait.seconds, wait.detail)
