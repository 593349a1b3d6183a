"""Limits size and duration of request bodies, before the application reads them."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_api.http.problems import ApiProblem

BYTES_MAX = 256 * 1024
"""More than the largest valid body: a mapping of 64 KiB, and a pasted event of 128 KiB."""
WITHIN_S = 10.0


class BodyLimit:
    """Middleware that reads each body completely, within limits, and passes it on."""

    def __init__(self, app: ASGIApp, answer: Callable[[ApiProblem], ASGIApp]) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT"):
            await self._app(scope, receive, send)
            return
        try:
            body = await read(receive)
        except ApiProblem as refused:
            await self._answer(refused)(scope, receive, send)
            return
        if body is None:
            return
        handed_on = False

        async def receive_again() -> Message:
            nonlocal handed_on
            if handed_on:
                return await receive()
            handed_on = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive_again, send)


async def read(receive: Receive) -> bytes | None:
    """The whole body, or None if the client disconnected. Raises ApiProblem."""
    body = bytearray()
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > BYTES_MAX:
                    raise ApiProblem(
                        "too-large", f"The body may have at most {BYTES_MAX} bytes.", headers={"Connection": "close"}
                    )
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise ApiProblem(
            "too-slow", f"The body was not complete after {WITHIN_S:g} s.", headers={"Connection": "close"}
        ) from None
