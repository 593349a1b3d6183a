"""File responses that stream from Postgres: constant memory, limited time, and truncation that the client can detect."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from query_api.metrics import EXPORTS

log = structlog.get_logger()

SEND_WITHIN_S = 15.0
"""Timeout for the client to accept the next piece (at most 256 kB)."""
FILE_WITHIN_S = 300.0
"""Timeout for a whole file. It occupies one of few connections, and its snapshot keeps Postgres from vacuuming."""


class FileResponse(Response):
    """An attachment whose pieces are made while the client reads.

    Errors before the first byte become a problem response. After it, the connection is closed without the last chunk
    (RFC 9112), so that the client sees that the file is incomplete. `pieces` is closed when the client disconnects.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        file_name: str,
        media_type: str,
        *,
        headers: Mapping[str, str] | None = None,
        send_within_s: float = SEND_WITHIN_S,
        file_within_s: float = FILE_WITHIN_S,
    ) -> None:
        self._pieces = pieces
        self._send_within_s = send_within_s
        self._file_within_s = file_within_s
        self.status_code = 200
        self.background = None
        self.init_headers({**file_headers(file_name, media_type), **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writing = asyncio.create_task(self._send_file(send))
        leaving = asyncio.create_task(wait_until_gone(receive))
        try:
            await asyncio.wait({writing, leaving}, timeout=self._file_within_s, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
                EXPORTS.labels("complete").inc()
            elif leaving.done():
                EXPORTS.labels("left").inc()
            else:
                raise TimeoutError(f"the client did not receive the file within {self._file_within_s} s")
        except Exception:
            EXPORTS.labels("failed").inc()
            raise
        finally:
            # The transaction ends after this response; `pieces` must not use its connection any longer.
            writing.cancel()
            leaving.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)

    async def _send_file(self, send: Send) -> None:
        started = False

        async def put(data: bytes, *, more: bool = True) -> None:
            nonlocal started
            async with asyncio.timeout(self._send_within_s):
                if not started:
                    started = True
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await send({"type": "http.response.body", "body": data, "more_body": more})

        async with aclosing(self._pieces):
            async for piece in self._pieces:
                await put(piece)
        await put(b"", more=False)


def file_headers(file_name: str, media_type: str) -> dict[str, str]:
    """Headers of an attachment (RFC 6266). The name must be ASCII without quotes."""
    return {
        "Content-Type": media_type,
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{file_name}"',
    }


async def wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
